#include "control/port_address.hpp"

#include <arpa/inet.h>
#include <charconv>
#include <fmt/format.h>

namespace phoenix {

std::uint64_t packed_port_address(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    in_addr address{};
    if (colon == std::string_view::npos ||
        inet_pton(AF_INET, std::string{text.substr(0, colon)}.c_str(), &address) != 1)
        return 0;
    std::uint16_t port = 0;
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc{} || end != digits.data() + digits.size() || port == 0) return 0;
    return std::uint64_t{ntohl(address.s_addr)} << 16 | port;
}

std::string port_address_text(std::uint64_t packed) {
    const auto address = static_cast<std::uint32_t>(packed >> 16);
    return fmt::format("{}.{}.{}.{}:{}", address >> 24, address >> 16 & 0xFF, address >> 8 & 0xFF, address & 0xFF,
                       packed & 0xFFFF);
}

}  // namespace phoenix
