#include "membership/balance.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <random>

namespace phoenix {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<MemberSlot> owners_of(std::initializer_list<std::uint32_t> slots) {
    std::vector<MemberSlot> owners;
    for (const std::uint32_t slot : slots) owners.push_back(MemberSlot{slot});
    return owners;
}

PlannedMove move(std::uint32_t vnode, std::uint32_t receiver) { return {VNodeId{vnode}, MemberSlot{receiver}}; }

TEST(Balance, ANewcomerGetsItsShareFromTheEndsOfTheOthers) {
    const std::vector<BalanceMember> members{{MemberSlot{0}}, {MemberSlot{1}}, {MemberSlot{2}}};
    const BalancePlan plan = plan_balance(owners_of({0, 0, 0, 1, 1, 1}), members);
    EXPECT_THAT(plan.moves, ElementsAre(move(5, 2), move(2, 2)));
    EXPECT_FALSE(plan.waits);
}

TEST(Balance, WhatIsEvenIsLeftAlone) {
    const std::vector<BalanceMember> members{{MemberSlot{4}}, {MemberSlot{2}}};
    EXPECT_THAT(plan_balance(owners_of({2, 2, 4}), members).moves, IsEmpty());
    EXPECT_THAT(plan_balance(owners_of({2, 4, 4}), members).moves, IsEmpty()) << "the odd one stays where it is";
    EXPECT_THAT(plan_balance({}, members).moves, IsEmpty());
    EXPECT_THAT(plan_balance(owners_of({2, 4, 4}), {}).moves, IsEmpty());
}

TEST(Balance, ADrainingMemberGivesEverything) {
    const std::vector<BalanceMember> members{{MemberSlot{0}, false}, {MemberSlot{1}}, {MemberSlot{2}}};
    const BalancePlan plan = plan_balance(owners_of({0, 0, 1, 1, 2, 2}), members);
    EXPECT_THAT(plan.moves, ElementsAre(move(1, 1), move(0, 2)));
    const std::vector<BalanceMember> alone{{MemberSlot{0}, false}};
    EXPECT_THAT(plan_balance(owners_of({0, 0}), alone).moves, IsEmpty()) << "there is nobody to give to";
}

TEST(Balance, WhoDoesNotTakeYetIsWaitedFor) {
    std::vector<BalanceMember> members{{MemberSlot{0}}, {MemberSlot{1}, true, false}};
    const BalancePlan before = plan_balance(owners_of({0, 0, 0, 0}), members);
    EXPECT_THAT(before.moves, IsEmpty());
    EXPECT_TRUE(before.waits);
    members[1].takes = true;
    const BalancePlan after = plan_balance(owners_of({0, 0, 0, 0}), members);
    EXPECT_THAT(after.moves, ElementsAre(move(3, 1), move(2, 1)));
    EXPECT_FALSE(after.waits);
}

TEST(Balance, VNodesOfStrangersAreLeftAlone) {
    const std::vector<BalanceMember> members{{MemberSlot{0}}, {MemberSlot{1}}};
    const BalancePlan plan = plan_balance(owners_of({9, 300, 0, 0}), members);
    EXPECT_THAT(plan.moves, ElementsAre(move(3, 1)));
}

// From any distribution: afterwards loads differ by one at most, drained ones are empty, and as many VNodes have moved
// as stood above their member's share, no more.
TEST(Balance, MovesAsFewAsPossible) {
    std::mt19937 engine{11};
    const auto random = [&engine] { return static_cast<std::uint32_t>(engine()); };
    for (int round = 0; round < 3000; ++round) {
        const std::uint32_t count = 1 + random() % 6;
        std::vector<BalanceMember> members;
        std::uint32_t keepers = 0;
        for (std::uint32_t i = 0; i < count; ++i) {
            const bool keeps = random() % 4 != 0;
            members.push_back({MemberSlot{i}, keeps, true});
            keepers += keeps ? 1 : 0;
        }
        if (keepers == 0) continue;
        std::vector<MemberSlot> owners(random() % 60);
        for (MemberSlot& owner : owners) owner = MemberSlot{random() % count};
        std::vector<std::uint64_t> loads(count, 0);
        for (const MemberSlot owner : owners) ++loads[owner.value];
        const BalancePlan plan = plan_balance(owners, members);

        std::uint64_t least = 0;
        std::vector<std::uint64_t> sorted;
        for (std::uint32_t i = 0; i < count; ++i) {
            if (members[i].keeps) {
                sorted.push_back(loads[i]);
            } else {
                least += loads[i];
            }
        }
        std::sort(sorted.rbegin(), sorted.rend());
        for (std::size_t i = 0; i < sorted.size(); ++i) {
            const std::uint64_t share = owners.size() / keepers + (i < owners.size() % keepers ? 1 : 0);
            least += sorted[i] > share ? sorted[i] - share : 0;
        }
        EXPECT_EQ(plan.moves.size(), least);
        for (const PlannedMove& one : plan.moves) owners[one.vnode.value] = one.receiver;
        std::vector<std::uint64_t> after(count, 0);
        for (const MemberSlot owner : owners) ++after[owner.value];
        for (std::uint32_t i = 0; i < count; ++i) {
            if (members[i].keeps) {
                EXPECT_GE(after[i], owners.size() / keepers);
                EXPECT_LE(after[i], (owners.size() + keepers - 1) / keepers);
            } else {
                EXPECT_EQ(after[i], 0U);
            }
        }
    }
}

}  // namespace
}  // namespace phoenix
