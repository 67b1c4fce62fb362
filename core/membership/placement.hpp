#pragma once
/// Placement: which member gets which VNodes. Pure and deterministic.

#include "base/ids.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace phoenix {

/// A member that may be given VNodes.
struct Adopter {
    MemberSlot slot{};
    std::uint64_t load{};       ///< VNodes of the domain it owns already.
    std::uint64_t seniority{};  ///< MemberEntry::order.
    std::uint32_t numa{};       ///< NUMA node it is bound to + 1; 0: to none.
};

/// How many of `orphan_count` VNodes each adopter gets, in the order of `adopters`, so that the resulting loads are as
/// even as possible without taking anything away: the least loaded are filled first, ties and remainders go to those
/// that come first. The sum is `orphan_count`, unless `adopters` is empty.
/// @cost Depends on the number of adopters only, not on that of VNodes.
[[nodiscard]] std::vector<std::uint64_t> quotas_for(std::uint64_t orphan_count, std::span<const Adopter> adopters);

/// Owner of each of `orphan_count` VNodes taken in ascending order: every adopter gets one contiguous run of as many as
/// quotas_for says, runs in the order of `adopters`. With all loads 0 this is block placement. Because the order is not
/// that of the loads, placing in several batches gives the same blocks as placing at once.
/// More adopters than VNodes: the surplus gets nothing.
class RunPlacement {
  public:
    RunPlacement(std::uint64_t orphan_count, std::span<const Adopter> adopters);
    /// The adopter of the next orphan. Must be called at most `orphan_count` times, and never without adopters.
    [[nodiscard]] MemberSlot next();

  private:
    std::vector<Adopter> adopters_;
    std::vector<std::uint64_t> left_;
    std::size_t at_{};
};

}  // namespace phoenix
