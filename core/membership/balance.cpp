#include "membership/balance.hpp"

#include <algorithm>
#include <numeric>

namespace phoenix {

namespace {

/// Loads to reach: as even as possible, and the odd ones stay with those that have most already.
std::vector<std::uint64_t> targets_for(std::span<const std::uint64_t> loads, std::span<const BalanceMember> members) {
    std::vector<std::size_t> keepers;
    for (std::size_t i = 0; i < members.size(); ++i) {
        if (members[i].keeps) keepers.push_back(i);
    }
    std::vector<std::uint64_t> targets(members.size(), 0);
    if (keepers.empty()) {
        return {loads.begin(), loads.end()};
    }
    const std::uint64_t total = std::accumulate(loads.begin(), loads.end(), std::uint64_t{0});
    std::stable_sort(keepers.begin(), keepers.end(), [&](std::size_t a, std::size_t b) { return loads[a] > loads[b]; });
    for (std::size_t i = 0; i < keepers.size(); ++i) {
        targets[keepers[i]] = total / keepers.size() + (i < total % keepers.size() ? 1 : 0);
    }
    return targets;
}

}  // namespace

BalanceIndex::BalanceIndex(std::span<const BalanceMember> members) {
    positions_.fill(none);
    for (std::uint32_t i = 0; i < members.size(); ++i) positions_.at(members[i].slot.value) = i;
}

Imbalance imbalance_of(std::span<const MemberSlot> owners, std::span<const BalanceMember> members) {
    const BalanceIndex index{members};
    std::vector<std::uint64_t> loads(members.size(), 0);
    for (const MemberSlot owner : owners) {
        if (const std::uint32_t at = index.of(owner); at != BalanceIndex::none) ++loads[at];
    }
    const std::vector<std::uint64_t> targets = targets_for(loads, members);
    Imbalance imbalance{std::vector<std::uint64_t>(members.size(), 0), std::vector<std::uint64_t>(members.size(), 0)};
    for (std::size_t i = 0; i < members.size(); ++i) {
        imbalance.excess[i] = loads[i] > targets[i] ? loads[i] - targets[i] : 0;
        if (targets[i] <= loads[i]) continue;
        if (members[i].takes) {
            imbalance.missing[i] = targets[i] - loads[i];
        } else {
            imbalance.waits = true;
        }
    }
    return imbalance;
}

BalancePlan plan_balance(std::span<const MemberSlot> owners, std::span<const BalanceMember> members) {
    const BalanceIndex index{members};
    auto [excess, missing, waits] = imbalance_of(owners, members);
    BalancePlan plan;
    plan.waits = waits;
    std::size_t receiver = 0;
    for (std::size_t v = owners.size(); v-- > 0;) {
        const std::uint32_t giver = index.of(owners[v]);
        if (giver == BalanceIndex::none || excess[giver] == 0) continue;
        while (receiver < missing.size() && missing[receiver] == 0) ++receiver;
        if (receiver == missing.size()) break;  // the rest is for those that do not take yet
        --excess[giver];
        --missing[receiver];
        plan.moves.push_back({VNodeId{static_cast<std::uint32_t>(v)}, members[receiver].slot});
    }
    return plan;
}

}  // namespace phoenix
