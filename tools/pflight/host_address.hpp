#pragma once
/// Which IPv4 address of a machine the others reach it at.

#include "memory/control_segment.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix::pflight {

/// An IPv4 network, "10.1.0.0/16".
struct Network {
    std::uint32_t address{0};  ///< Host byte order.
    std::uint32_t bits{32};    ///< Of the prefix.
    [[nodiscard]] bool contains(std::uint32_t other) const noexcept;
};

/// @error invalid_argument  Not a network; says what to write.
[[nodiscard]] tl::expected<Network, Failure> parse_network(std::string_view text);

/// 127.0.0.0/8. `address` is in numbers.
[[nodiscard]] bool is_loopback(std::string_view address);

/// `name` is this machine's: localhost, or its host name, with or without its domain.
[[nodiscard]] bool is_this_machine(std::string_view name);

/// The first IPv4 address of `name` ("user@name" is name), in numbers.
/// @error system  It has none. Asks the resolver, which may take seconds.
[[nodiscard]] tl::expected<std::string, Failure> address_of_host(const std::string& name);

/// The address of this machine that packets to `other` carry. Nothing is sent.
/// @error system  There is no way to it.
[[nodiscard]] tl::expected<std::string, Failure> address_towards(const std::string& other);

/// IPv4 addresses of the interfaces of this machine that are up, in numbers.
[[nodiscard]] std::vector<std::string> own_addresses();

/// The address of this machine that `text` stands for: an address is itself, a network what this machine has in it.
/// @error invalid_argument  Not one of this machine's.
[[nodiscard]] tl::expected<std::string, Failure> own_address_for(std::string_view text);

}  // namespace phoenix::pflight
