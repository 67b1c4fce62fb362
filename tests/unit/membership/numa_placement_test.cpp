#include "membership/numa_placement.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <random>

namespace phoenix {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Adopter adopter(std::uint32_t slot, std::uint32_t numa, std::uint64_t load = 0) {
    return {MemberSlot{slot}, load, slot, numa};
}

std::vector<std::uint32_t> placed(const std::vector<std::uint32_t>& orphans, const std::vector<std::uint32_t>& numa_of,
                                  const std::vector<Adopter>& adopters) {
    std::vector<VNodeId> names;
    for (const std::uint32_t v : orphans) names.push_back(VNodeId{v});
    std::vector<std::uint32_t> owners;
    for (const MemberSlot slot : place_by_numa(names, numa_of, adopters)) owners.push_back(slot.value);
    return owners;
}

TEST(NumaPlacement, WithoutNeighboursItIsBlocksNumaDomainByNumaDomain) {
    const std::vector<std::uint32_t> nobody(8, numa_nobody);
    EXPECT_THAT(placed({0, 1, 2, 3, 4, 5, 6, 7}, nobody, {adopter(0, 1), adopter(1, 2), adopter(2, 1), adopter(3, 2)}),
                ElementsAre(0, 0, 2, 2, 1, 1, 3, 3));
    EXPECT_THAT(placed({0, 1, 2, 3, 4, 5, 6, 7}, nobody, {adopter(0, 0), adopter(1, 0), adopter(2, 0)}),
                ElementsAre(0, 0, 0, 1, 1, 1, 2, 2))
        << "members that are bound to none: as block";
}

TEST(NumaPlacement, OrphansStayInTheNumaDomainOfTheirNeighboursWhileThatIsEven) {
    // 0 and 2 in domain 1, 1 and 3 in domain 2, two VNodes each; 2 has died.
    EXPECT_THAT(placed({2, 3}, {1, 1, numa_nobody, numa_nobody, 2, 2, 2, 2},
                       {adopter(0, 1, 2), adopter(1, 2, 2), adopter(3, 2, 2)}),
                ElementsAre(0, 1))
        << "one each: the one beside domain 1 goes there";
    // Each goes where its neighbour is; the member of domain 3 has enough.
    const std::vector<Adopter> three{adopter(0, 1, 1), adopter(1, 2, 1), adopter(2, 3, 9)};
    EXPECT_THAT(placed({1, 5}, {2, numa_nobody, 3, 3, 1, numa_nobody, 3}, three), ElementsAre(1, 0)) << "below";
    EXPECT_THAT(placed({0, 3}, {numa_nobody, 2, 3, numa_nobody, 1}, three), ElementsAre(1, 0)) << "above";
}

TEST(NumaPlacement, BatchesGiveTheSameAsAllAtOnce) {
    const std::vector<std::pair<std::uint32_t, std::uint32_t>> members{{0, 2}, {1, 1}, {2, 2}, {3, 1}, {4, 3}};
    std::map<std::uint32_t, std::uint64_t> loads;
    const auto adopters = [&] {
        std::vector<Adopter> list;
        for (const auto& [slot, numa] : members) list.push_back(adopter(slot, numa, loads[slot]));
        return list;
    };
    std::vector<std::uint32_t> orphans(103);
    std::iota(orphans.begin(), orphans.end(), 0U);
    std::vector<std::uint32_t> numa_of(orphans.size(), numa_nobody);
    const std::vector<std::uint32_t> whole = placed(orphans, numa_of, adopters());
    std::vector<std::uint32_t> batched;
    while (!orphans.empty()) {
        const std::vector<std::uint32_t> rest = placed(orphans, numa_of, adopters());
        const std::size_t batch = std::min<std::size_t>(10, rest.size());
        for (std::size_t i = 0; i < batch; ++i) {
            batched.push_back(rest[i]);
            ++loads[rest[i]];
            numa_of[orphans[i]] = members[rest[i]].second;
        }
        orphans.erase(orphans.begin(), orphans.begin() + static_cast<std::ptrdiff_t>(batch));
    }
    EXPECT_EQ(batched, whole);
}

/// A node in which members come and go.
class Cluster {
  public:
    Cluster(std::size_t vnodes, std::uint64_t seed) : random_(seed), owners_(vnodes, MemberSlot{900}) {}

    void join() {
        const auto slot = static_cast<std::uint32_t>(next_++);
        members_.push_back({MemberSlot{slot}, true, true, slot, 1 + static_cast<std::uint32_t>(random_() % 2)});
    }
    void die() {
        const auto dead = members_.begin() + static_cast<std::ptrdiff_t>(random_() % members_.size());
        for (MemberSlot& owner : owners_) owner = owner == dead->slot ? MemberSlot{900} : owner;
        members_.erase(dead);
    }

    void place(bool by_numa) {
        std::vector<Adopter> adopters;
        for (const BalanceMember& member : members_) {
            adopters.push_back({member.slot, load_of(member.slot), member.seniority, member.numa});
        }
        std::vector<VNodeId> orphans;
        std::vector<std::uint32_t> numa_of;
        for (std::uint32_t v = 0; v < owners_.size(); ++v) {
            numa_of.push_back(numa(owners_[v]));
            if (numa_of.back() == numa_nobody) orphans.push_back(VNodeId{v});
        }
        RunPlacement runs{orphans.size(), adopters};
        const std::vector<MemberSlot> owners = place_by_numa(orphans, numa_of, adopters);
        for (std::size_t i = 0; i < orphans.size(); ++i) owners_[orphans[i].value] = by_numa ? owners[i] : runs.next();
    }

    /// Moves made.
    std::size_t balance(bool by_numa) {
        const BalancePlan plan = by_numa ? plan_balance_by_numa(owners_, members_) : plan_balance(owners_, members_);
        for (const PlannedMove& move : plan.moves) owners_[move.vnode.value] = move.receiver;
        return plan.moves.size();
    }

    /// VNodes that must move at least: what is above the mean, rounded up for as many members as that has a remainder.
    [[nodiscard]] std::size_t least_moves() const {
        std::vector<std::size_t> loads;
        for (const BalanceMember& member : members_) loads.push_back(load_of(member.slot));
        std::sort(loads.rbegin(), loads.rend());
        const std::size_t mean = owners_.size() / loads.size();
        std::size_t least = 0;
        for (std::size_t i = 0; i < loads.size(); ++i) {
            const std::size_t target = mean + (i < owners_.size() % loads.size() ? 1 : 0);
            least += loads[i] > target ? loads[i] - target : 0;
        }
        return least;
    }
    [[nodiscard]] bool even() const {
        return std::all_of(members_.begin(), members_.end(), [&](const BalanceMember& member) {
            const std::size_t load = load_of(member.slot);
            const std::size_t mean = owners_.size() / members_.size();
            return load == mean || load == mean + 1;
        });
    }
    /// Neighbours in different NUMA domains.
    [[nodiscard]] std::size_t borders() const {
        std::size_t count = 0;
        for (std::size_t v = 1; v < owners_.size(); ++v) count += numa(owners_[v]) != numa(owners_[v - 1]) ? 1 : 0;
        return count;
    }
    [[nodiscard]] std::size_t members() const { return members_.size(); }
    [[nodiscard]] std::uint64_t random() { return random_(); }

  private:
    [[nodiscard]] std::size_t load_of(MemberSlot slot) const {
        return static_cast<std::size_t>(std::count(owners_.begin(), owners_.end(), slot));
    }
    [[nodiscard]] std::uint32_t numa(MemberSlot slot) const {
        const auto at = std::find_if(members_.begin(), members_.end(),
                                     [&](const BalanceMember& member) { return member.slot == slot; });
        return at == members_.end() ? numa_nobody : at->numa;
    }

    std::mt19937_64 random_;
    std::uint64_t next_{0};
    std::vector<BalanceMember> members_;
    std::vector<MemberSlot> owners_;
};

struct Course {
    std::size_t moves{};
    std::size_t least{};
    std::size_t borders{};
};

/// Ten joins and deaths; the sums of what moved and of what had to.
Course course_of(std::uint64_t seed, bool by_numa) {
    Cluster cluster{200, seed};
    for (int i = 0; i < 4; ++i) cluster.join();
    cluster.place(by_numa);
    Course course;
    for (int change = 0; change < 10; ++change) {
        if (cluster.random() % 2 == 0 && cluster.members() > 2) {
            cluster.die();
            cluster.place(by_numa);
        } else {
            cluster.join();
        }
        course.least += cluster.least_moves();
        course.moves += cluster.balance(by_numa);
        EXPECT_TRUE(cluster.even()) << "seed " << seed;
        EXPECT_EQ(cluster.balance(by_numa), 0U) << "seed " << seed;
        course.borders += cluster.borders();
    }
    return course;
}

TEST(NumaPlacement, MovesNoMoreThanItMustAndCutsFewerNeighboursApartThanBlock) {
    Course by_numa;
    Course by_block;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        const Course course = course_of(seed, true);
        EXPECT_LE(static_cast<double>(course.moves), 1.1 * static_cast<double>(course.least)) << "seed " << seed;
        by_numa.moves += course.moves;
        by_numa.least += course.least;
        by_numa.borders += course.borders;
        const Course block = course_of(seed, false);
        EXPECT_LE(static_cast<double>(block.moves), 1.1 * static_cast<double>(block.least)) << "seed " << seed;
        by_block.borders += block.borders;
    }
    std::printf("topology: %zu moves of at least %zu; neighbours in two NUMA domains: %zu, by block %zu\n",
                by_numa.moves, by_numa.least, by_numa.borders, by_block.borders);
    EXPECT_LT(by_numa.borders * 3, by_block.borders * 2);
}

TEST(NumaPlacement, AMemberThatDrainsGivesToItsOwnNumaDomainFirst) {
    const std::vector<BalanceMember> members{{MemberSlot{0}, true, true, 0, 1},
                                             {MemberSlot{1}, true, true, 1, 2},
                                             {MemberSlot{2}, false, true, 2, 2},
                                             {MemberSlot{3}, true, true, 3, 1}};
    const std::vector<MemberSlot> owners{MemberSlot{0}, MemberSlot{3}, MemberSlot{2}, MemberSlot{1}};
    const BalancePlan plan = plan_balance_by_numa(owners, members);
    // One of three must get a second one, and they stand alike: the oldest, which is elsewhere.
    EXPECT_THAT(plan.moves, ElementsAre(PlannedMove{VNodeId{2}, MemberSlot{0}}));
    const std::vector<MemberSlot> two{MemberSlot{0}, MemberSlot{0}, MemberSlot{2},
                                      MemberSlot{2}, MemberSlot{3}, MemberSlot{1}};
    EXPECT_THAT(plan_balance_by_numa(two, members).moves,
                ElementsAre(PlannedMove{VNodeId{3}, MemberSlot{3}}, PlannedMove{VNodeId{2}, MemberSlot{1}}));
}

TEST(NumaPlacement, WhatCrossesLiesNextToTheNumaDomainItGoesTo) {
    // Four VNodes of a member in domain 1 between others; the newcomer is in domain 2, as the owner of VNode 0.
    const std::vector<BalanceMember> members{
        {MemberSlot{0}, true, true, 0, 2}, {MemberSlot{1}, true, true, 1, 1}, {MemberSlot{2}, true, true, 2, 2}};
    const std::vector<MemberSlot> owners{MemberSlot{0}, MemberSlot{0}, MemberSlot{1},
                                         MemberSlot{1}, MemberSlot{1}, MemberSlot{1}};
    EXPECT_THAT(plan_balance_by_numa(owners, members).moves,
                ElementsAre(PlannedMove{VNodeId{2}, MemberSlot{2}}, PlannedMove{VNodeId{3}, MemberSlot{2}}));
    EXPECT_THAT(plan_balance_by_numa({}, members).moves, IsEmpty());
    EXPECT_THAT(plan_balance_by_numa(owners, {}).moves, IsEmpty());
}

TEST(NumaPlacement, WhoDoesNotTakeYetIsWaitedFor) {
    const std::vector<BalanceMember> members{{MemberSlot{0}, true, true, 0, 1}, {MemberSlot{1}, true, false, 1, 1}};
    const BalancePlan plan = plan_balance_by_numa(std::vector<MemberSlot>(4, MemberSlot{0}), members);
    EXPECT_THAT(plan.moves, IsEmpty());
    EXPECT_TRUE(plan.waits);
}

}  // namespace
}  // namespace phoenix
