#include "pflight/selftest/stream.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <xxhash.h>

namespace phoenix::pflight::selftest {

namespace {

std::uint64_t proof_of(std::uint64_t seed, const Stream& stream, std::uint64_t sequence) noexcept {
    const std::array<std::uint64_t, 3> parts{std::uint64_t{stream.source} << 32U | stream.destination, stream.tag,
                                             sequence};
    return XXH3_64bits_withSeed(parts.data(), sizeof parts, seed);
}

// Of 1000 messages 500 are 16 to 24 bytes, 440 up to 1 KiB, 55 up to 16 KiB, 5 up to 64 KiB: one class for each way in
// which a log keeps them.
std::size_t size_by(std::uint64_t proof) noexcept {
    const std::uint64_t dice = proof % 1000;
    const std::uint64_t draw = proof >> 20U;
    if (dice < 500) return message_size_min + draw % 9;
    if (dice < 940) return 25 + draw % 1000;
    if (dice < 995) return 1025 + draw % 15360;
    return 16385 + draw % (message_size_max - 16384);
}

// SplitMix64.
std::uint64_t word_of(std::uint64_t proof, std::uint64_t index) noexcept {
    std::uint64_t z = proof + (index + 1) * 0x9E3779B97F4A7C15U;
    z = (z ^ z >> 30U) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27U) * 0x94D049BB133111EBU;
    return z ^ z >> 31U;
}

// Calls visit(offset, word, bytes of it) for what follows sequence and proof; stops when it says false.
template <typename Visit>
bool for_each_word(std::uint64_t proof, std::size_t size, Visit&& visit) {
    for (std::size_t offset = message_size_min; offset < size; offset += sizeof(std::uint64_t)) {
        const std::uint64_t word = word_of(proof, offset);
        if (!visit(offset, word, std::min(sizeof word, size - offset))) return false;
    }
    return true;
}

}  // namespace

std::size_t size_of_message(std::uint64_t seed, const Stream& stream, std::uint64_t sequence) noexcept {
    return size_by(proof_of(seed, stream, sequence));
}

void write_message(std::uint64_t seed, const Stream& stream, std::uint64_t sequence,
                   std::span<std::byte> message) noexcept {
    const std::uint64_t proof = proof_of(seed, stream, sequence);
    std::memcpy(message.data(), &sequence, sizeof sequence);
    std::memcpy(message.data() + sizeof sequence, &proof, sizeof proof);
    for_each_word(proof, message.size(), [&](std::size_t offset, std::uint64_t word, std::size_t bytes) {
        std::memcpy(message.data() + offset, &word, bytes);
        return true;
    });
}

Reading read_message(std::uint64_t seed, const Stream& stream, std::span<const std::byte> message) noexcept {
    if (message.size() < message_size_min) return {};
    std::uint64_t sequence = 0;
    std::uint64_t proof = 0;
    std::memcpy(&sequence, message.data(), sizeof sequence);
    std::memcpy(&proof, message.data() + sizeof sequence, sizeof proof);
    if (proof != proof_of(seed, stream, sequence)) return {};
    const bool whole =
        message.size() == size_by(proof) &&
        for_each_word(proof, message.size(), [&](std::size_t offset, std::uint64_t word, std::size_t bytes) {
            return std::memcmp(message.data() + offset, &word, bytes) == 0;
        });
    return {sequence, whole};
}

}  // namespace phoenix::pflight::selftest
