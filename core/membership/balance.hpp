#pragma once
/// Balance: which VNodes move between living members so that newcomers get their share and draining members empty.
/// Pure and deterministic.

#include "base/ids.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace phoenix {

/// A member that takes part in the balance of a domain.
struct BalanceMember {
    MemberSlot slot{};
    bool keeps{true};  ///< False: it drains and gives everything away.
    bool takes{true};  ///< It can execute what it is given at once; others are waited for.
};

struct PlannedMove {
    VNodeId vnode{};
    MemberSlot receiver{};
    friend bool operator==(const PlannedMove&, const PlannedMove&) = default;
};

struct BalancePlan {
    std::vector<PlannedMove> moves;
    bool waits{};  ///< More is to be moved once receivers take it.
};

/// `owners[v]`: who owns VNode v, or will once the moves under way are done. Those whose owner is not among `members`
/// are left alone. Afterwards members that keep have floor or ceiling of the mean, draining ones nothing, and no
/// smaller number of moves gets there. A member gives its highest VNodes, so that what stays is contiguous if it was.
/// @cost O(V + members log members).
[[nodiscard]] BalancePlan plan_balance(std::span<const MemberSlot> owners, std::span<const BalanceMember> members);

}  // namespace phoenix
