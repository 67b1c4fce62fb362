#include "checkpoint/digest.hpp"

#include <fmt/format.h>
#define XXH_STATIC_LINKING_ONLY  // the state by value, with its alignment
#include <xxhash.h>

namespace phoenix::checkpoint {

struct Digest::State {
    XXH3_state_t xxh3;
};

Digest::Digest() : state_(std::make_unique<State>()) { reset(); }
Digest::~Digest() = default;

void Digest::reset() noexcept { XXH3_64bits_reset(&state_->xxh3); }
void Digest::update(const void* data, std::size_t bytes) noexcept { XXH3_64bits_update(&state_->xxh3, data, bytes); }
std::uint64_t Digest::value() const noexcept { return XXH3_64bits_digest(&state_->xxh3); }

std::uint64_t digest_of(std::span<const std::byte> bytes) noexcept { return XXH3_64bits(bytes.data(), bytes.size()); }

std::string hex(std::uint64_t value) { return fmt::format("{:016x}", value); }

}  // namespace phoenix::checkpoint
