/// decide() under each placement: starts, joins, retirements, deaths, and coordinators that die on the way.

#include "membership/reconcile.hpp"
#include "membership/ring.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>

#include "unit/membership/node.hpp"

namespace phoenix {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_tools::Node;

constexpr std::size_t placed_vnode_count = 60;

/// Dealt out like cards.
const PlacementFunction dealt = [](std::uint32_t vnodes, std::span<const PlacementMember> members) {
    std::vector<std::uint32_t> positions(vnodes);
    for (std::uint32_t v = 0; v < vnodes; ++v) positions[v] = v % static_cast<std::uint32_t>(members.size());
    return positions;
};

struct NamedRule {
    const char* name;
    PlacementRule rule;
    friend std::ostream& operator<<(std::ostream& out, const NamedRule& rule) { return out << rule.name; }
};

void join_bound(Node& node, std::uint32_t slot, std::uint64_t ticket) {
    node.join(slot, ticket);
    node.published[slot].taking = 1;
    node.published[slot].numa = 1 + slot % 2;
}

/// Three members, the oldest in slot 0, all VNodes placed and executed.
Node started(const PlacementRule& rule, bool balance = true) {
    Node node{placed_vnode_count};
    node.rule = rule;
    node.expected = 3;
    node.balance = balance;
    for (std::uint32_t slot = 0; slot < 3; ++slot) join_bound(node, slot, slot);
    node.settle(0);
    node.activate_all();
    return node;
}

void let_go_on(Node& node, std::uint32_t coordinator) {
    for (int round = 0; round < 3; ++round) {
        node.settle(coordinator);
        node.activate_all();
        node.move_all();
    }
}

class ReconcilePlacement : public testing::TestWithParam<NamedRule> {
  protected:
    static void expect_settled(const Node& node, std::uint32_t coordinator, const std::set<std::uint32_t>& members) {
        for (const std::uint32_t owner : node.owners()) EXPECT_TRUE(members.contains(owner)) << "owner " << owner;
        EXPECT_TRUE(node.decide_for(coordinator).nothing()) << "what is settled stays as it is";
        EXPECT_FALSE(node.decide_for(coordinator).balance_waits);
    }
};

TEST_P(ReconcilePlacement, WhatIsPlacedFirstNeedsNoMoves) {
    Node node = started(GetParam().rule, false);
    node.balance = true;
    expect_settled(node, 0, {0, 1, 2});
}

TEST_P(ReconcilePlacement, BatchesEndWhereOneDecisionDoes) {
    Node node{placed_vnode_count};
    node.rule = GetParam().rule;
    node.expected = 3;
    node.balance = true;
    node.reassign_max = 7;
    for (std::uint32_t slot = 0; slot < 3; ++slot) join_bound(node, slot, slot);
    node.settle(0);
    EXPECT_EQ(node.owners(), started(GetParam().rule).owners());
}

TEST_P(ReconcilePlacement, ANewcomerGetsItsShareOnceItTakesStepsAndNoSooner) {
    Node node = started(GetParam().rule);
    join_bound(node, 3, 9);
    node.published[3].taking = 0;
    node.settle(0);
    EXPECT_THAT(node.decide_for(0).moves,
                testing::Each(testing::Field(&Move::request,
                                             testing::Property(&MoveRequest::receiver, testing::Ne(MemberSlot{3})))));
    EXPECT_TRUE(node.decide_for(0).balance_waits);
    node.published[3].taking = 1;
    let_go_on(node, 0);
    expect_settled(node, 0, {0, 1, 2, 3});
    const std::vector<std::uint32_t> owners = node.owners();
    EXPECT_GT(std::count(owners.begin(), owners.end(), 3U), 0);
}

TEST_P(ReconcilePlacement, OneThatDrainsEndsWithNothing) {
    Node node = started(GetParam().rule);
    node.published[1].retire_wanted = true;
    node.settle(0);
    ASSERT_EQ(node.view.at(MemberSlot{1}).state, MemberState::draining);
    let_go_on(node, 0);
    expect_settled(node, 0, {0, 2});
}

TEST_P(ReconcilePlacement, VNodesOfTheDeadGoOnAndNoOthersChangeHandsAtOnce) {
    Node node = started(GetParam().rule);
    const std::vector<std::uint32_t> before = node.owners();
    node.liveness[1] = Liveness::dead;
    node.settle(0);  // adopts, and asks for moves
    const std::vector<std::uint32_t> adopted = node.owners();
    for (std::size_t v = 0; v < before.size(); ++v) {
        if (before[v] == 1) continue;
        EXPECT_EQ(adopted[v], before[v]) << "VNode " << v;
    }
    let_go_on(node, 0);
    expect_settled(node, 0, {0, 2});
}

TEST_P(ReconcilePlacement, OrphansGoToThoseWhoExecuteSteps) {
    Node node = started(GetParam().rule);
    node.published[2].taking = 0;
    node.liveness[1] = Liveness::dead;
    const std::vector<std::uint32_t> before = node.owners();
    node.settle(0);
    for (std::size_t v = 0; v < before.size(); ++v) {
        EXPECT_EQ(node.owners()[v], before[v] == 1 ? 0U : before[v]) << "VNode " << v;
    }
}

TEST_P(ReconcilePlacement, EveryStepOfAJoinAndADrainCanBeTheLastOfItsCoordinator) {
    std::vector<std::uint32_t> wanted;
    for (int steps = 0; steps < 6; ++steps) {
        Node node = started(GetParam().rule);
        join_bound(node, 3, 9);
        node.published[1].retire_wanted = true;
        for (int step = 0; step < steps; ++step) {
            Decision decision = node.decide_for(0);
            // It dies in the middle of what it does, too.
            decision.moves.resize(decision.moves.size() / 2);
            decision.reassigns.resize(decision.reassigns.size() / 2);
            node.carry_out(decision);
            if (step % 2 == 1) node.move_all();
        }
        node.liveness[0] = Liveness::dead;
        for (int round = 0; round < 3; ++round) {
            let_go_on(node, 1);  // whoever of the two coordinates
            let_go_on(node, 2);
        }
        expect_settled(node, 2, {2, 3});
    }
}

// Members are the same, their places in the table are not.
TEST_P(ReconcilePlacement, WhoGetsWhatDoesNotDependOnSlots) {
    Node node = started(GetParam().rule);
    const std::array<std::uint32_t, 3> slots{104, 7, 52};
    Node permuted{placed_vnode_count};
    permuted.rule = GetParam().rule;
    permuted.expected = 3;
    for (std::uint32_t i = 0; i < 3; ++i) {
        join_bound(permuted, slots.at(i), i);
        permuted.published.at(slots.at(i)).numa = node.published.at(i).numa;
    }
    permuted.settle(slots[0]);
    const std::vector<std::uint32_t> owners = node.owners();
    for (std::size_t v = 0; v < owners.size(); ++v)
        EXPECT_EQ(permuted.owners()[v], slots.at(owners[v])) << "VNode " << v;
}

// The service asks for balance until there is nothing to do, and then not before the next view.
TEST_P(ReconcilePlacement, WhatSomebodyMovedByHandStaysUntilBalanceIsAskedForAgain) {
    Node node = started(GetParam().rule);
    node.balance = false;
    const DirectoryWord word{node.words[0].load()};
    const MemberSlot receiver{word.owner() == MemberSlot{0} ? 1U : 0U};
    node.words[0] = word.given_to(receiver).activated().bits;
    EXPECT_TRUE(node.decide_for(0).nothing());
    node.balance = true;
    join_bound(node, 3, 9);
    let_go_on(node, 0);
    expect_settled(node, 0, {0, 1, 2, 3});
}

INSTANTIATE_TEST_SUITE_P(Rules, ReconcilePlacement,
                         testing::Values(NamedRule{"block", {}}, NamedRule{"ring", {PlacementKind::ring, 32}},
                                         NamedRule{"topology", {PlacementKind::topology}},
                                         NamedRule{"custom", {PlacementKind::custom, 0, &dealt}}),
                         [](const auto& instance) { return instance.param.name; });

TEST(ReconcileRing, EveryVNodeIsWhereTheRingOfThoseWhoStayHasIt) {
    Node node = started({PlacementKind::ring, 16});
    join_bound(node, 3, 9);
    node.published[0].retire_wanted = true;
    node.settle(0);
    let_go_on(node, 1);
    std::vector<RingMember> members;
    for (const std::uint32_t slot : {1U, 2U, 3U}) {
        members.push_back({MemberSlot{slot}, node.view.at(MemberSlot{slot}).order});
    }
    const Ring ring{16, members};
    for (std::uint32_t v = 0; v < placed_vnode_count; ++v) {
        EXPECT_EQ(node.owners()[v], ring.owner_of(VNodeId{v}).value) << "VNode " << v;
    }
}

TEST(ReconcileRing, OfTheDeadEverybodyGetsWhatTheRingSaysAndNothingElseMoves) {
    Node node = started({PlacementKind::ring, 16});
    node.balance = false;
    node.liveness[1] = Liveness::dead;
    node.settle(0);
    node.balance = true;
    EXPECT_TRUE(node.decide_for(0).nothing());
}

TEST(ReconcileTopology, NeighboursAreKeptInOneNumaDomain) {
    const Node node = started({PlacementKind::topology});  // slots 0 and 2 in one, 1 in the other
    std::vector<std::uint32_t> wanted(40, 0);
    std::fill(wanted.begin() + 20, wanted.end(), 2);
    wanted.resize(placed_vnode_count, 1);
    EXPECT_EQ(node.owners(), wanted);
}

TEST(ReconcileCustom, WhatHadNoOwnerWaitsUntilThePlacementIsKnown) {
    Node node = started({PlacementKind::custom});
    EXPECT_THAT(node.owners(), Each(999U));
    node.rule.function = &dealt;
    node.settle(0);
    EXPECT_EQ(node.owners()[4], 1U);
}

TEST(ReconcileCustom, TheDeadAreAdoptedBeforeThePlacementIsKnown) {
    Node node = started({PlacementKind::custom, 0, &dealt});
    node.rule.function = nullptr;
    node.liveness[1] = Liveness::dead;
    node.settle(0);
    node.activate_all();
    EXPECT_THAT(node.owners(), Each(testing::AnyOf(0U, 2U)));
    EXPECT_TRUE(node.decide_for(0).balance_waits);
    node.rule.function = &dealt;
    let_go_on(node, 0);
    for (std::size_t v = 0; v < placed_vnode_count; ++v)
        EXPECT_EQ(node.owners()[v], v % 2 == 0 ? 0U : 2U) << "VNode " << v;
}

TEST(ReconcileCustom, AResultThatCannotBeUsedIsReportedAndChangesNothing) {
    const PlacementFunction wrong = [](std::uint32_t vnodes, std::span<const PlacementMember> members) {
        return std::vector<std::uint32_t>(vnodes, static_cast<std::uint32_t>(members.size()));
    };
    Node node{placed_vnode_count};
    node.rule = {PlacementKind::custom, 0, &wrong};
    node.expected = 2;
    join_bound(node, 0, 0);
    join_bound(node, 1, 1);
    node.carry_out(node.decide_for(0));  // the first view
    const Decision first = node.decide_for(0);
    ASSERT_TRUE(first.misplaced);
    EXPECT_THAT(first.misplaced->fault.what, HasSubstr("VNode 0 on position 2 of 2"));
    EXPECT_THAT(first.reassigns, IsEmpty());
    EXPECT_FALSE(first.nothing());

    Node running = started({PlacementKind::custom, 0, &dealt});
    running.rule.function = &wrong;
    const Decision balance = running.decide_for(0);
    EXPECT_TRUE(balance.misplaced);
    EXPECT_THAT(balance.moves, IsEmpty());
}

}  // namespace
}  // namespace phoenix
