#pragma once
/// Messages and commits of simulated VNodes.

#include "sim/program.hpp"

#include <array>
#include <cstdint>

namespace phoenix::sim {

/// Which sequence numbers of a channel were consumed (rule 1).
class ConsumedSet {
  public:
    [[nodiscard]] bool contains(std::uint32_t sequence) const noexcept {
        return sequence < lowest_ || (sequence - lowest_ < 64 && ((above_ >> (sequence - lowest_)) & 1U) != 0);
    }
    void insert(std::uint32_t sequence) noexcept;
    [[nodiscard]] std::uint32_t lowest() const noexcept { return lowest_; }
    [[nodiscard]] std::uint32_t cursor() const noexcept { return cursor_; }  ///< One above the highest.

  private:
    std::uint32_t lowest_{};
    std::uint64_t above_{};  ///< Bit i: lowest_ + i was consumed; bit 0 is never set.
    std::uint32_t cursor_{};
};

struct Record {
    std::uint32_t source{};
    std::uint32_t destination{};
    Tag tag{};
    std::uint32_t sequence{};
    std::uint64_t payload{};
    bool released{};

    /// Byte for byte, but for what readers write.
    [[nodiscard]] bool same_content(const Record& other) const noexcept {
        return source == other.source && destination == other.destination && tag == other.tag &&
               sequence == other.sequence && payload == other.payload;
    }
};

struct Commit {
    bool valid{};
    std::uint32_t steps{};  ///< Committed ones.
    std::uint64_t state{};
    std::array<ConsumedSet, vnode_max> consumed{};         ///< By source.
    std::array<std::uint32_t, vnode_max> next_sequence{};  ///< By destination.
};

}  // namespace phoenix::sim
