#pragma once
/// Balance: which VNodes move between living members so that newcomers get their share and draining members empty.
/// Pure and deterministic.

#include "base/ids.hpp"
#include "memory/layout.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace phoenix {

/// A member that takes part in the balance of a domain.
struct BalanceMember {
    MemberSlot slot{};
    bool keeps{true};           ///< False: it drains and gives everything away.
    bool takes{true};           ///< It can execute what it is given at once; others are waited for.
    std::uint64_t seniority{};  ///< MemberEntry::order.
    std::uint32_t numa{};       ///< NUMA node it is bound to + 1; 0: to none.
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

/// From slots to positions in a list of members.
class BalanceIndex {
  public:
    static constexpr std::uint32_t none = ~std::uint32_t{0};

    explicit BalanceIndex(std::span<const BalanceMember> members);
    /// `none` for a slot whose member is not in the list.
    [[nodiscard]] std::uint32_t of(MemberSlot slot) const noexcept {
        return slot.value < member_count_max ? positions_[slot.value] : none;
    }

  private:
    std::array<std::uint32_t, member_count_max> positions_{};
};

/// How many VNodes each member is to give, or can get now, so that loads are as even as they can be and no smaller
/// number of moves gets there. By position in the list of members.
struct Imbalance {
    std::vector<std::uint64_t> excess;
    std::vector<std::uint64_t> missing;
    bool waits{};  ///< Some are missing to members that do not take yet.
};
[[nodiscard]] Imbalance imbalance_of(std::span<const MemberSlot> owners, std::span<const BalanceMember> members);

/// `owners[v]`: who owns VNode v, or will once the moves under way are done. Those whose owner is not among `members`
/// are left alone. Afterwards members that keep have floor or ceiling of the mean, draining ones nothing, and no
/// smaller number of moves gets there. A member gives its highest VNodes, so that what stays is contiguous if it was.
/// @cost O(V + members log members).
[[nodiscard]] BalancePlan plan_balance(std::span<const MemberSlot> owners, std::span<const BalanceMember> members);

}  // namespace phoenix
