#pragma once
/// Placement by NUMA domain: as many VNodes for each member and as few moves as by block, but neighbours stay with
/// members of one NUMA domain where that costs nothing. Pure and deterministic.

#include "membership/balance.hpp"
#include "membership/placement.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace phoenix {

inline constexpr std::uint32_t numa_nobody = ~std::uint32_t{0};

/// Owner of each of `orphans` (ascending). `numa_of[v]`: Adopter::numa of who owns VNode v, numa_nobody if nobody does.
/// Members get as many as quotas_for says, in blocks by (NUMA domain, order of `adopters`) where there are no
/// neighbours; else orphans go to the NUMA domain of what lies below them first, then of what lies above.
/// @pre There are adopters.
/// @cost O(V + orphans x NUMA domains + members log members).
[[nodiscard]] std::vector<MemberSlot> place_by_numa(std::span<const VNodeId> orphans,
                                                    std::span<const std::uint32_t> numa_of,
                                                    std::span<const Adopter> adopters);

/// As plan_balance, with the same number of moves: what a NUMA domain has too few comes from others, grown from its
/// borders or from where two givers meet; the rest moves between members of one NUMA domain.
/// @cost O(V x NUMA domains + moves x members).
[[nodiscard]] BalancePlan plan_balance_by_numa(std::span<const MemberSlot> owners,
                                               std::span<const BalanceMember> members);

}  // namespace phoenix
