#pragma once
/// Where a port listens, as a word in shared memory.

#include <cstdint>
#include <string>
#include <string_view>

namespace phoenix {

/// IPv4 address (32 bits) << 16 | TCP port, of a text like "127.0.0.1:4711"; 0 if it is none.
[[nodiscard]] std::uint64_t packed_port_address(std::string_view text);
/// The text of a word that packed_port_address() made.
[[nodiscard]] std::string port_address_text(std::uint64_t packed);

}  // namespace phoenix
