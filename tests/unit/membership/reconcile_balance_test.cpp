/// decide() while members come and retire: moves between living members.

#include "membership/reconcile.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>

#include "unit/membership/node.hpp"

namespace phoenix {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing_tools::Node;
using testing_tools::running_node;

/// running_node(vnodes), balanced, its members executing steps.
Node balancing_node(std::size_t vnodes) {
    Node node = running_node(vnodes);
    node.balance = true;
    for (std::uint32_t slot = 0; slot < 3; ++slot) {
        node.published[slot].taking = 1;
    }
    return node;
}

TEST(ReconcileBalance, ANewcomerGetsItsShareOnceItTakesStepsAndNoSooner) {
    Node node = balancing_node(8);
    node.join(3, 9);
    node.settle(0);
    EXPECT_TRUE(node.view.is_active(MemberSlot{3}));
    EXPECT_TRUE(node.decide_for(0).nothing());
    EXPECT_TRUE(node.decide_for(0).balance_waits);
    node.published[3].taking = 2;  // of another domain
    EXPECT_TRUE(node.decide_for(0).nothing());
    node.published[3].taking = 3;
    const Decision decision = node.decide_for(0);
    EXPECT_EQ(decision.moves.size(), 2U);
    EXPECT_FALSE(decision.balance_waits);
    EXPECT_TRUE(node.decide_for(1).nothing()) << "only the coordinator asks";
    node.carry_out(decision);
    EXPECT_TRUE(node.decide_for(0).nothing()) << "what is asked for is not asked for again";
    node.move_all();
    EXPECT_THAT(node.owners(), ElementsAre(0, 0, 3, 1, 1, 3, 2, 2));
    EXPECT_TRUE(node.decide_for(0).nothing());
}

TEST(ReconcileBalance, ARequestHoldsForOneOwnershipOnly) {
    Node node = balancing_node(8);
    node.join(3, 9);
    node.published[3].taking = 1;
    node.settle(0);
    node.liveness[0] = Liveness::dead;  // with the move of VNode 2 to member 3 not done yet
    node.settle(1);
    node.activate_all();
    const std::vector<std::uint32_t> owners = node.owners();
    const DirectoryWord word{node.words[2].load()};
    const MoveRequest stale = MoveRequest::make(MemberSlot{3}, word.version() - 1);
    EXPECT_FALSE(stale.holds_for(word));
    node.move_all();
    std::map<std::uint32_t, int> loads;
    for (const std::uint32_t owner : node.owners()) {
        ++loads[owner];
    }
    for (const auto& [owner, load] : loads) {
        EXPECT_NEAR(load, 8.0 / 3, 1.0) << "owner " << owner;
    }
}

TEST(ReconcileBalance, OneThatWantsToRetireDrainsAndKeepsNothing) {
    Node node = balancing_node(9);
    node.published[0].retire_wanted = true;  // the coordinator itself
    const Decision first = node.decide_for(0);
    ASSERT_TRUE(first.proposal);
    EXPECT_EQ(first.proposal->at(MemberSlot{0}).state, MemberState::draining);
    node.carry_out(first);
    EXPECT_TRUE(node.decide_for(0).nothing()) << "the next oldest coordinates now";
    node.settle(1);
    node.move_all();
    EXPECT_THAT(node.owners(), ElementsAre(2, 1, 1, 1, 1, 1, 2, 2, 2));
    node.liveness[0] = Liveness::alive;
    node.published[0].state = PublishedState::leaving;
    node.settle(1);
    EXPECT_EQ(node.view.at(MemberSlot{0}).state, MemberState::retired);
}

TEST(ReconcileBalance, TheLastMemberIsRefused) {
    Node node = balancing_node(4);
    for (std::uint32_t slot = 0; slot < 3; ++slot) {
        node.published[slot].retire_wanted = true;
    }
    node.settle(0);
    node.settle(2);
    EXPECT_EQ(node.view.at(MemberSlot{0}).state, MemberState::draining);
    EXPECT_EQ(node.view.at(MemberSlot{1}).state, MemberState::draining);
    EXPECT_TRUE(node.view.is_active(MemberSlot{2}));
    EXPECT_FALSE(node.published[2].retire_wanted) << "its wish is taken back";
}

TEST(ReconcileBalance, ADrainingMemberIsNeededAgainWhenAllOthersDie) {
    Node node = balancing_node(4);
    node.published[1].retire_wanted = true;
    node.settle(0);
    EXPECT_EQ(node.view.at(MemberSlot{1}).state, MemberState::draining);
    node.liveness[0] = node.liveness[2] = Liveness::dead;
    node.settle(1);
    EXPECT_TRUE(node.view.is_active(MemberSlot{1}));
    EXPECT_EQ(node.owners(), std::vector<std::uint32_t>(4, 1));
    EXPECT_FALSE(node.published[1].retire_wanted);
}

// Found by the simulation: one that had drained came back without changing the view, and a newcomer that had seen it
// leave retired it and took its VNodes while it executed them.
TEST(ReconcileBalance, OneThatWaitsToRetireComesBackOnlyByAViewOfItsOwn) {
    Node node = balancing_node(4);
    node.published[1].retire_wanted = true;
    node.settle(0);
    node.published[1].state = PublishedState::leaving;
    node.waits_to_retire = 1;
    EXPECT_TRUE(node.decide_for(1).nothing()) << "others are there to retire it";
    node.liveness[0] = node.liveness[2] = Liveness::dead;
    const Decision back = node.decide_for(1);
    ASSERT_TRUE(back.proposal);
    EXPECT_EQ(back.proposal->number.value, node.view.number.value + 1);
    EXPECT_TRUE(back.proposal->is_active(MemberSlot{1}));
    EXPECT_THAT(back.reassigns, IsEmpty());
    // A newcomer that sees it leave founds against the same view: one of the two fails.
    node.join(3, 9);
    const Decision founding = node.decide_for(3);
    ASSERT_TRUE(founding.proposal);
    EXPECT_EQ(founding.proposal->number, back.proposal->number);
    EXPECT_EQ(founding.proposal->at(MemberSlot{1}).state, MemberState::retired);
    const View draining = node.view;
    node.view = with_reactivated(node.view, MemberSlot{1});
    EXPECT_TRUE(node.decide_for(1).proposal) << "also if it is ACTIVE by the view";
    node.view = draining;
    node.carry_out(founding);
    EXPECT_TRUE(node.decide_for(1).nothing()) << "it is retired";
}

TEST(ReconcileBalance, VNodesOfTheDeadGoToThoseWhoExecuteSteps) {
    Node node = balancing_node(9);
    node.published[2].taking = 0;  // still on its way there
    node.liveness[0] = Liveness::dead;
    node.settle(1);
    EXPECT_THAT(node.owners(), ElementsAre(1, 1, 1, 1, 1, 1, 2, 2, 2));
}

TEST(ReconcileBalance, NothingMovesWithoutBalanceAndNeverInASpace) {
    Node node = balancing_node(8);
    node.join(3, 9);
    node.published[3].taking = 1;
    node.balance = false;
    node.settle(0);
    EXPECT_TRUE(node.decide_for(0).nothing());
    node.balance = true;
    node.kind = NameSpaceKind::space;
    EXPECT_TRUE(node.decide_for(0).nothing());
}

TEST(ReconcileBalance, EveryStepOfAJoinAndADrainCanBeTheLastOfItsCoordinator) {
    for (int steps = 0; steps < 6; ++steps) {
        Node node = balancing_node(12);
        node.join(3, 9);
        node.published[3].taking = 1;
        node.published[1].retire_wanted = true;
        for (int step = 0; step < steps; ++step) {
            node.carry_out(node.decide_for(0));
            if (step % 2 == 1) {
                node.move_all();
            }
        }
        node.liveness[0] = Liveness::dead;
        for (int round = 0; round < 3; ++round) {
            node.settle(1);  // whoever of the two coordinates
            node.settle(2);
            node.activate_all();
            node.move_all();
        }
        std::map<std::uint32_t, int> loads;
        for (const std::uint32_t owner : node.owners()) {
            ++loads[owner];
        }
        EXPECT_EQ(loads, (std::map<std::uint32_t, int>{{2, 6}, {3, 6}})) << steps << " steps";
    }
}

}  // namespace
}  // namespace phoenix
