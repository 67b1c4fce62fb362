#pragma once
/// XXH3 (64 bits) over bytes that come in pieces. It finds damage, not forgery.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace phoenix::checkpoint {

class Digest {
  public:
    Digest();
    Digest(const Digest&) = delete;
    Digest& operator=(const Digest&) = delete;
    ~Digest();

    void reset() noexcept;
    void update(const void* data, std::size_t bytes) noexcept;
    [[nodiscard]] std::uint64_t value() const noexcept;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

[[nodiscard]] std::uint64_t digest_of(std::span<const std::byte> bytes) noexcept;

/// 16 hexadecimal digits.
[[nodiscard]] std::string hex(std::uint64_t value);

}  // namespace phoenix::checkpoint
