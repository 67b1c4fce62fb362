#pragma once
/// Consistent hashing: members have points on a ring of 64-bit hashes, a VNode belongs to the next point from its own.
/// Karger, Lehman, Leighton, Panigrahy, Levine, Lewin, "Consistent Hashing and Random Trees", STOC 1997.

#include "base/ids.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace phoenix {

struct RingMember {
    MemberSlot slot{};
    std::uint64_t seniority{};  ///< Key of its points: its own for its life, and the same to all observers.
};

/// Invariant: who owns a VNode depends on the set of members, not on their order; without a member the VNodes of the
/// others stay where they are.
class Ring {
  public:
    /// @pre 1 <= tokens, and there are members.
    /// @cost O(n log n) for n = tokens x members.
    Ring(std::uint32_t tokens, std::span<const RingMember> members);

    /// @cost A hash and, expected, a few comparisons.
    [[nodiscard]] MemberSlot owner_of(VNodeId vnode) const;

  private:
    struct Point {
        std::uint64_t token;
        std::uint64_t seniority;  ///< Of two points at one place the older member's counts.
        MemberSlot slot;
    };
    std::vector<Point> points_;         ///< Ascending by token.
    std::vector<std::uint32_t> first_;  ///< By the high bits of a hash: the first point not below.
    unsigned shift_{};
};

}  // namespace phoenix
