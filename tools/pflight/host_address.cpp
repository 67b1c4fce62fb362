#include "pflight/host_address.hpp"

#include "base/process.hpp"
#include "pflight/argument.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ifaddrs.h>
#include <memory>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>
#include <unistd.h>

namespace phoenix::pflight {

namespace {

constexpr std::uint32_t address_bits = 32;

std::optional<std::uint32_t> address_number(std::string_view text) {
    in_addr address{};
    if (inet_pton(AF_INET, std::string{text}.c_str(), &address) != 1) return std::nullopt;
    return ntohl(address.s_addr);
}

std::string address_text(const sockaddr* address) {
    std::array<char, INET_ADDRSTRLEN> text{};
    const auto* internet = reinterpret_cast<const sockaddr_in*>(address);
    if (inet_ntop(AF_INET, &internet->sin_addr, text.data(), text.size()) == nullptr) return {};
    return text.data();
}

}  // namespace

bool Network::contains(std::uint32_t other) const noexcept {
    return bits == 0 || (address ^ other) >> (address_bits - bits) == 0;
}

tl::expected<Network, Failure> parse_network(std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto address = address_number(text.substr(0, slash));
    const auto bits = slash == std::string_view::npos ? std::optional<std::uint64_t>{address_bits}
                                                      : whole_number(text.substr(slash + 1));
    if (!address || !bits || *bits > address_bits)
        return refusal(Errc::invalid_argument,
                       fmt::format("'{}' is no IPv4 network; write for example 10.1.0.0/16.", text));
    return Network{*address, static_cast<std::uint32_t>(*bits)};
}

bool is_loopback(std::string_view address) {
    constexpr Network loopback{0x7F000000, 8};
    const auto number = address_number(address);
    return number && loopback.contains(*number);
}

bool is_this_machine(std::string_view name) {
    std::array<char, 256> own{};
    if (gethostname(own.data(), own.size() - 1) != 0) return name == "localhost";
    const auto short_form = [](std::string_view host) { return host.substr(0, host.find('.')); };
    const std::string_view mine = own.data();
    const bool same =
        name == mine || (short_form(name) == short_form(mine) &&
                         (name.find('.') == std::string_view::npos || mine.find('.') == std::string_view::npos));
    return name == "localhost" || (!mine.empty() && same);
}

tl::expected<std::string, Failure> address_of_host(const std::string& name) {
    const std::string host = name.substr(name.find('@') == std::string::npos ? 0 : name.find('@') + 1);
    addrinfo wanted{};
    wanted.ai_family = AF_INET;
    wanted.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = getaddrinfo(host.c_str(), nullptr, &wanted, &found); error != 0)
        return refusal(Errc::system,
                       fmt::format("Host '{}' has no IPv4 address ({}); write its name as others know it, "
                                   "or an address.",
                                   host, gai_strerror(error)));
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list{found, freeaddrinfo};
    return address_text(list->ai_addr);
}

tl::expected<std::string, Failure> address_towards(const std::string& other) {
    const auto failed = [&] {
        return refusal(Errc::system, fmt::format("This machine has no way to {}: {}.", other, std::strerror(errno)));
    };
    const FileDescriptor probe{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_in there{};
    there.sin_family = AF_INET;
    there.sin_port = htons(9);  // never used: a datagram socket that connects sends nothing
    if (inet_pton(AF_INET, other.c_str(), &there.sin_addr) != 1) errno = EINVAL;
    sockaddr_in here{};
    socklen_t size = sizeof here;
    if (!probe.valid() || there.sin_addr.s_addr == 0 ||
        connect(probe.get(), reinterpret_cast<const sockaddr*>(&there), sizeof there) != 0 ||
        getsockname(probe.get(), reinterpret_cast<sockaddr*>(&here), &size) != 0)
        return failed();
    return address_text(reinterpret_cast<const sockaddr*>(&here));
}

std::vector<std::string> own_addresses() {
    std::vector<std::string> addresses;
    ifaddrs* first = nullptr;
    if (getifaddrs(&first) != 0) return addresses;
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> list{first, freeifaddrs};
    for (const ifaddrs* at = first; at != nullptr; at = at->ifa_next)
        if (at->ifa_addr != nullptr && at->ifa_addr->sa_family == AF_INET && (at->ifa_flags & IFF_UP) != 0)
            addresses.push_back(address_text(at->ifa_addr));
    return addresses;
}

tl::expected<std::string, Failure> own_address_for(std::string_view text) {
    const auto network = parse_network(text);
    if (!network) return tl::unexpected(network.error());
    const std::vector<std::string> mine = own_addresses();
    for (const std::string& address : mine)
        if (network->contains(address_number(address).value_or(0))) return address;
    // All of 127.0.0.0/8 is there wherever one of it is.
    if (is_loopback(text)) return std::string{text};
    return refusal(Errc::invalid_argument,
                   fmt::format("this machine has no address in {} (it has {}); write --network with the network that "
                               "all hosts have in common",
                               text, fmt::join(mine, ", ")));
}

}  // namespace phoenix::pflight
