#include "transport/socket.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <netinet/tcp.h>

namespace phoenix {

namespace {

constexpr int listen_backlog = 256;
constexpr int on = 1;

const sockaddr* generic(const SocketAddress& address) noexcept {
    return reinterpret_cast<const sockaddr*>(&address.value);
}
sockaddr* generic(SocketAddress& address) noexcept { return reinterpret_cast<sockaddr*>(&address.value); }

void set_option(int socket, int level, int name, int value) noexcept {
    // What an old kernel refuses costs time or comfort, not correctness.
    static_cast<void>(setsockopt(socket, level, name, &value, sizeof value));
}

bool is_any_interface(const SocketAddress& address) noexcept {
    if (address.value.ss_family == AF_INET)
        return reinterpret_cast<const sockaddr_in&>(address.value).sin_addr.s_addr == INADDR_ANY;
    return IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6&>(address.value).sin6_addr);
}

// The same bytes without the padding that nobody sets.
bool same_endpoint(const SocketAddress& left, const SocketAddress& right) {
    return left.value.ss_family == right.value.ss_family && text_of(left) == text_of(right);
}

}  // namespace

tl::expected<SocketAddress, Failure> make_address(std::string_view host, std::uint16_t port) {
    SocketAddress address;
    const std::string name{host};
    auto& four = reinterpret_cast<sockaddr_in&>(address.value);
    auto& six = reinterpret_cast<sockaddr_in6&>(address.value);
    if (inet_pton(AF_INET, name.c_str(), &four.sin_addr) == 1) {
        four.sin_family = AF_INET;
        address.size = sizeof(sockaddr_in);
    } else if (inet_pton(AF_INET6, name.c_str(), &six.sin6_addr) == 1) {
        six.sin6_family = AF_INET6;
        address.size = sizeof(sockaddr_in6);
    } else {
        return refusal(Errc::invalid_argument,
                       fmt::format("'{}' is no IPv4 or IPv6 address; write it in numbers, as 127.0.0.1.", host));
    }
    return with_port(address, port);
}

tl::expected<SocketAddress, Failure> parse_address(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    std::uint16_t port = 0;
    if (colon != std::string_view::npos) {
        const char* const end = text.data() + text.size();
        const auto [last, error] = std::from_chars(text.data() + colon + 1, end, port);
        std::string_view host = text.substr(0, colon);
        if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
        if (error == std::errc{} && last == end && port != 0)
            if (auto address = make_address(host, port)) return address;
    }
    return refusal(Errc::invalid_argument,
                   fmt::format("'{}' is no address of a hub; write it as 127.0.0.1:4711 or [::1]:4711.", text));
}

std::string text_of(const SocketAddress& address) {
    char host[INET6_ADDRSTRLEN] = "?";
    if (address.value.ss_family == AF_INET) {
        inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address.value).sin_addr, host, sizeof host);
        return fmt::format("{}:{}", host, port_of(address));
    }
    if (address.value.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(address.value).sin6_addr, host, sizeof host);
    return fmt::format("[{}]:{}", host, port_of(address));
}

std::uint16_t port_of(const SocketAddress& address) noexcept {
    // The port lies at the same place in both.
    return ntohs(reinterpret_cast<const sockaddr_in&>(address.value).sin_port);
}

SocketAddress with_port(SocketAddress address, std::uint16_t port) noexcept {
    reinterpret_cast<sockaddr_in&>(address.value).sin_port = htons(port);
    return address;
}

SocketAddress local_address(int socket) noexcept {
    SocketAddress address;
    address.size = sizeof address.value;
    if (getsockname(socket, generic(address), &address.size) != 0) address = {};
    return address;
}

tl::expected<FileDescriptor, Failure> listen_at(const SocketAddress& address) {
    FileDescriptor listener{socket(address.value.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    // Without it a port named by the caller is refused for a minute after the process before has ended.
    if (listener.valid()) set_option(listener.get(), SOL_SOCKET, SO_REUSEADDR, on);
    if (!listener.valid() || bind(listener.get(), generic(address), address.size) != 0 ||
        listen(listener.get(), listen_backlog) != 0)
        return refusal(Errc::system, fmt::format("Cannot listen on {}: {}.", text_of(address), std::strerror(errno)));
    return listener;
}

FileDescriptor accept_caller(int listener, SocketAddress& from, int& error) noexcept {
    from.size = sizeof from.value;
    FileDescriptor caller{accept4(listener, generic(from), &from.size, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    error = caller.valid() ? 0 : errno;
    if (caller.valid()) set_option(caller.get(), IPPROTO_TCP, TCP_NODELAY, on);
    return caller;
}

FileDescriptor begin_connect(const SocketAddress& source, const SocketAddress& address, int& error) noexcept {
    FileDescriptor result{socket(address.value.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    error = result.valid() ? 0 : errno;
    if (!result.valid()) return result;
    set_option(result.get(), IPPROTO_TCP, TCP_NODELAY, on);
    if (source.value.ss_family == address.value.ss_family && !is_any_interface(source)) {
        // From the interface that we listen on: the other side takes our host from there when it has to call back.
        set_option(result.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, on);
        const SocketAddress any_port = with_port(source, 0);
        if (bind(result.get(), generic(any_port), any_port.size) != 0) error = errno;
    }
    if (error == 0 && connect(result.get(), generic(address), address.size) != 0 && errno != EINPROGRESS &&
        errno != EINTR)
        error = errno;
    return error == 0 ? std::move(result) : FileDescriptor{};
}

int connect_outcome(int socket) noexcept {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    if (error != 0) return error;
    SocketAddress peer;
    peer.size = sizeof peer.value;
    if (getpeername(socket, generic(peer), &peer.size) != 0) return errno;
    // A port of the ephemeral range where nobody listens may be given to this very socket, which then meets itself.
    return same_endpoint(peer, local_address(socket)) ? ECONNREFUSED : 0;
}

void watch_peer(int socket, std::uint32_t timeout_ms) noexcept {
    set_option(socket, SOL_SOCKET, SO_KEEPALIVE, on);
    // 2 s, 1 s and 3 at the default of 3.5 s; whole seconds is all the kernel takes.
    set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(std::max(1U, timeout_ms / 1750)));
    set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(std::max(1U, timeout_ms / 3500)));
    set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 3);
    set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(timeout_ms));
}

ssize_t send_parts(int socket, std::span<iovec> parts) noexcept {
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    ssize_t sent = 0;
    do {
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

void shorten_way_on_one_host(int socket) noexcept {
    // Linux doubles it.
    constexpr int in_cache_bytes = 256 << 10;
    SocketAddress peer;
    peer.size = sizeof peer.value;
    if (getpeername(socket, generic(peer), &peer.size) != 0) return;
    if (same_endpoint(with_port(peer, 0), with_port(local_address(socket), 0)))
        set_option(socket, SOL_SOCKET, SO_SNDBUF, in_cache_bytes);
}

void expect_bytes(int socket, std::size_t bytes) noexcept {
    set_option(socket, SOL_SOCKET, SO_RCVLOWAT, static_cast<int>(bytes));
}

ssize_t receive_parts(int socket, std::span<iovec> parts) noexcept {
    ssize_t received = 0;
    do {
        received = readv(socket, parts.data(), static_cast<int>(parts.size()));
    } while (received < 0 && errno == EINTR);
    return received;
}

}  // namespace phoenix
