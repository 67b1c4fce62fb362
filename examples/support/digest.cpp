#include "support/digest.hpp"

#include <fmt/format.h>
#include <new>
#include <xxhash.h>

namespace support {

Digest::Digest() : state_(XXH3_createState(), [](XXH3_state_s* state) { XXH3_freeState(state); }) {
    if (state_ == nullptr) throw std::bad_alloc{};
    XXH3_128bits_reset(state_.get());
}

Digest::~Digest() = default;

void Digest::add(std::span<const double> values) {
    XXH3_128bits_update(state_.get(), values.data(), values.size_bytes());
}

std::string Digest::text() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace support
