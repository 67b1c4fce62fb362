#pragma once
/// One cell per VNode, renewed in each step: the least a VNode can do that is not nothing.

#include <cstdint>

namespace million {

[[nodiscard]] constexpr std::uint64_t first_value(std::uint64_t cell) noexcept {
    return cell * 0x9E3779B97F4A7C15U + 1;
}

/// A step of xorshift64 (G. Marsaglia, 2003).
[[nodiscard]] constexpr std::uint64_t next_value(std::uint64_t value) noexcept {
    value ^= value << 13U;
    value ^= value >> 7U;
    value ^= value << 17U;
    return value;
}

}  // namespace million
