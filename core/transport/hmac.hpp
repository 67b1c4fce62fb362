#pragma once
/// HMAC-SHA256 (RFC 2104, FIPS 180-4) and random bytes: all that the transport needs of cryptography.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace phoenix {

using Mac = std::array<std::uint8_t, 32>;

/// The code of the parts, one after the other, under `key`.
[[nodiscard]] Mac hmac_sha256(std::span<const std::uint8_t> key, std::span<const std::span<const std::byte>> parts);

/// Takes the same time wherever they differ.
[[nodiscard]] bool same_mac(const Mac& left, const Mac& right) noexcept;

/// Fills `bytes` from the kernel's generator. False if it refuses; the bytes must not be used then.
[[nodiscard]] bool draw_random(std::span<std::byte> bytes) noexcept;

}  // namespace phoenix
