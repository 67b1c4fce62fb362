#include "membership/numa_placement.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <map>
#include <optional>

namespace phoenix {

namespace {

std::vector<Adopter> by_numa(std::span<const Adopter> adopters) {
    std::vector<Adopter> sorted(adopters.begin(), adopters.end());
    std::stable_sort(sorted.begin(), sorted.end(), [](const Adopter& a, const Adopter& b) { return a.numa < b.numa; });
    return sorted;
}

/// Gives orphans to adopters, each up to its quota.
class NumaPlacing {
  public:
    NumaPlacing(std::span<const VNodeId> orphans, std::span<const Adopter> adopters)
        : adopters_(by_numa(adopters)), left_(quotas_for(orphans.size(), adopters_)), given_(orphans.size()) {
        for (std::size_t i = 0; i < adopters_.size(); ++i) {
            if (i == 0 || adopters_[i].numa != groups_.back().numa) groups_.push_back({adopters_[i].numa, i, i});
            groups_.back().end = i + 1;
        }
    }

    /// To the first of those in NUMA domain `numa` that may get one, or, `from_top`, to the last.
    void give_within(std::size_t orphan, std::uint32_t numa, bool from_top) {
        if (given_[orphan] || numa == numa_nobody) return;
        const auto group =
            std::find_if(groups_.begin(), groups_.end(), [&](const Group& one) { return one.numa == numa; });
        if (group != groups_.end()) give(orphan, *group, from_top);
    }
    void give_to_anybody(std::size_t orphan) {
        for (auto group = groups_.begin(); group != groups_.end() && !given_[orphan]; ++group) {
            give(orphan, *group, false);
        }
    }

    [[nodiscard]] std::vector<MemberSlot> result() const {
        std::vector<MemberSlot> owners;
        owners.reserve(given_.size());
        for (const std::optional<MemberSlot>& owner : given_) {
            PHOENIX_CHECK(owner.has_value());  // the quotas add up
            owners.push_back(*owner);
        }
        return owners;
    }

  private:
    /// Adopters of one NUMA domain that may get something: positions begin .. end - 1.
    struct Group {
        std::uint32_t numa;
        std::size_t begin;
        std::size_t end;
    };

    void give(std::size_t orphan, Group& group, bool from_top) {
        while (group.begin < group.end && left_[group.begin] == 0) ++group.begin;
        while (group.begin < group.end && left_[group.end - 1] == 0) --group.end;
        if (group.begin == group.end) return;
        const std::size_t adopter = from_top ? group.end - 1 : group.begin;
        --left_[adopter];
        given_[orphan] = adopters_[adopter].slot;
    }

    std::vector<Adopter> adopters_;
    std::vector<std::uint64_t> left_;
    std::vector<Group> groups_;  ///< Ascending by NUMA domain.
    std::vector<std::optional<MemberSlot>> given_;
};

/// Moves between members, as a plan is made. What a NUMA domain needs of others comes first, so that what lies at
/// borders goes over them; the rest moves within NUMA domains.
class NumaBalancing {
  public:
    NumaBalancing(std::span<const MemberSlot> owners, std::span<const BalanceMember> members)
        : members_(members),
          needs_(imbalance_of(owners, members)),
          holders_(owners.size()),
          meetings_end_(owners.size()),
          rest_end_(owners.size()) {
        const BalanceIndex index{members};
        for (std::size_t v = 0; v < owners.size(); ++v) holders_[v] = index.of(owners[v]);
        for (std::size_t i = 0; i < members.size(); ++i) {
            surplus_[members[i].numa] +=
                static_cast<std::int64_t>(needs_.excess[i]) - static_cast<std::int64_t>(needs_.missing[i]);
        }
        plan_.waits = needs_.waits;
    }

    [[nodiscard]] BalancePlan plan() && {
        for (const auto& [numa, surplus] : surplus_) {
            if (surplus < 0) move_towards(numa);
        }
        move_within_domains();
        return std::move(plan_);
    }

  private:
    /// From others, from the borders of what is there on; where there is none, an island is begun.
    void move_towards(std::uint32_t numa) {
        std::vector<std::size_t> edge;  // next to VNodes of `numa`
        const auto look_around = [&](std::size_t v) {
            if (v > 0 && gives_away(v - 1)) edge.push_back(v - 1);
            if (v + 1 < holders_.size() && gives_away(v + 1)) edge.push_back(v + 1);
        };
        for (std::size_t v = 0; v < holders_.size(); ++v) {
            if (numa_of(v) == numa) look_around(v);
        }
        while (surplus_[numa] < 0) {
            if (edge.empty()) {
                const auto begin = next_island();
                if (!begin) return;  // the rest is with those that nothing can be taken from
                edge.push_back(*begin);
            }
            const std::size_t v = edge.back();
            edge.pop_back();
            if (!gives_away(v)) continue;
            const std::uint32_t receiver = receiver_in(numa);
            if (receiver == BalanceIndex::none) return;
            --surplus_[numa_of(v)];
            ++surplus_[numa];
            move(v, receiver);
            look_around(v);
        }
    }

    /// Where two members who both give meet, so that it grows to both sides; else the highest that can be given. Who
    /// has given what he can has done so for good, so that nothing need be looked at twice.
    [[nodiscard]] std::optional<std::size_t> next_island() {
        for (; meetings_end_ > 1; --meetings_end_) {
            const std::size_t v = meetings_end_ - 1;
            if (holders_[v - 1] != holders_[v] && gives_away(v - 1) && gives_away(v)) return v;
        }
        for (; rest_end_ > 0; --rest_end_) {
            if (gives_away(rest_end_ - 1)) return rest_end_ - 1;
        }
        return std::nullopt;
    }

    void move_within_domains() {
        for (std::size_t v = holders_.size(); v-- > 0;) {
            if (!gives(v)) continue;
            const std::uint32_t receiver = receiver_in(numa_of(v));
            if (receiver != BalanceIndex::none) move(v, receiver);
        }
    }

    [[nodiscard]] std::uint32_t numa_of(std::size_t v) const {
        return holders_[v] == BalanceIndex::none ? numa_nobody : members_[holders_[v]].numa;
    }
    [[nodiscard]] bool gives(std::size_t v) const {
        return holders_[v] != BalanceIndex::none && needs_.excess[holders_[v]] > 0;
    }
    /// To another NUMA domain.
    [[nodiscard]] bool gives_away(std::size_t v) const { return gives(v) && surplus_.at(numa_of(v)) > 0; }
    [[nodiscard]] std::uint32_t receiver_in(std::uint32_t numa) const {
        for (std::uint32_t i = 0; i < members_.size(); ++i) {
            if (members_[i].numa == numa && needs_.missing[i] > 0) return i;
        }
        return BalanceIndex::none;
    }

    void move(std::size_t v, std::uint32_t receiver) {
        --needs_.excess[holders_[v]];
        --needs_.missing[receiver];
        holders_[v] = receiver;
        plan_.moves.push_back({VNodeId{static_cast<std::uint32_t>(v)}, members_[receiver].slot});
    }

    std::span<const BalanceMember> members_;
    Imbalance needs_;
    std::vector<std::uint32_t> holders_;             ///< By VNode: position of its owner once the plan is carried out.
    std::map<std::uint32_t, std::int64_t> surplus_;  ///< By NUMA domain: what it has too many, or, below 0, too few.
    std::size_t meetings_end_;
    std::size_t rest_end_;
    BalancePlan plan_;
};

}  // namespace

std::vector<MemberSlot> place_by_numa(std::span<const VNodeId> orphans, std::span<const std::uint32_t> numa_of,
                                      std::span<const Adopter> adopters) {
    NumaPlacing placing{orphans, adopters};
    std::uint32_t numa = numa_nobody;
    std::size_t at = 0;
    for (std::size_t i = 0; i < orphans.size(); ++i) {
        for (; at < orphans[i].value; ++at) numa = numa_of[at] != numa_nobody ? numa_of[at] : numa;
        placing.give_within(i, numa, false);
    }
    numa = numa_nobody;
    at = numa_of.size();
    for (std::size_t i = orphans.size(); i-- > 0;) {
        for (; at > orphans[i].value + std::size_t{1}; --at) {
            numa = numa_of[at - 1] != numa_nobody ? numa_of[at - 1] : numa;
        }
        placing.give_within(i, numa, true);
    }
    for (std::size_t i = 0; i < orphans.size(); ++i) placing.give_to_anybody(i);
    return placing.result();
}

BalancePlan plan_balance_by_numa(std::span<const MemberSlot> owners, std::span<const BalanceMember> members) {
    return NumaBalancing{owners, members}.plan();
}

}  // namespace phoenix
