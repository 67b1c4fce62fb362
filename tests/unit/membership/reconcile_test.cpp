#include "membership/reconcile.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <initializer_list>
#include <map>

#include "unit/membership/node.hpp"

namespace phoenix {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing_tools::Node;
using testing_tools::running_node;

TEST(Reconcile, TheLowestTicketFoundsAndAdmitsAllWhoAreThere) {
    Node node{6};
    node.expected = 3;
    node.join(4, 12);
    node.join(7, 11);
    EXPECT_TRUE(node.decide_for(4).nothing());
    const Decision decision = node.decide_for(7);
    ASSERT_TRUE(decision.proposal);
    EXPECT_EQ(decision.proposal->number, ViewNumber{1});
    EXPECT_LT(decision.proposal->at(MemberSlot{7}).order, decision.proposal->at(MemberSlot{4}).order);
    EXPECT_THAT(decision.reassigns, IsEmpty());
}

TEST(Reconcile, PlacesBlocksOnceAllExpectedMembersAreActive) {
    Node node{7};
    node.expected = 3;
    node.join(0, 0);
    node.join(1, 1);
    node.settle(0);
    EXPECT_EQ(node.owners(), std::vector<std::uint32_t>(7, 999)) << "one is missing";
    node.join(2, 2);
    node.settle(0);
    EXPECT_THAT(node.owners(), ElementsAre(0, 0, 0, 1, 1, 2, 2));
    const DirectoryWord word{node.words[0].load()};
    EXPECT_EQ(word, DirectoryWord::make(MemberSlot{0}, OwnerState::recovering, 1));
}

TEST(Reconcile, PlacesWithoutThoseWhoDiedOrDidNotComeInTime) {
    Node dead_early{4};
    dead_early.expected = 3;
    for (std::uint32_t slot = 0; slot < 3; ++slot) {
        dead_early.join(slot, slot);
    }
    dead_early.liveness[1] = Liveness::dead;
    dead_early.settle(0);
    EXPECT_THAT(dead_early.owners(), ElementsAre(0, 0, 2, 2));

    Node late{4};
    late.expected = 3;
    late.join(0, 0);
    late.settle(0);
    EXPECT_EQ(late.owners(), std::vector<std::uint32_t>(4, 999));
    late.start_time_over = true;
    late.settle(0);
    EXPECT_THAT(late.owners(), ElementsAre(0, 0, 0, 0));
}

TEST(Reconcile, MoreMembersThanVNodesWorksAndTheSurplusOwnsNothing) {
    Node node = running_node(2);
    EXPECT_THAT(node.owners(), ElementsAre(0, 1));
    node.liveness[0] = Liveness::dead;
    node.settle(1);
    EXPECT_THAT(node.owners(), ElementsAre(2, 1)) << "the one who waits is the least loaded";
}

TEST(Reconcile, OnlyTheCoordinatorActs) {
    Node node = running_node(9);
    node.liveness[2] = Liveness::dead;
    EXPECT_TRUE(node.decide_for(1).nothing());
    EXPECT_TRUE(node.decide_for(0).proposal);
    node.liveness[0] = Liveness::dead;
    EXPECT_TRUE(node.decide_for(1).proposal) << "the next oldest goes on";
}

TEST(Reconcile, FirstTheViewThenTheWordsAndOnlyThoseOfTheDead) {
    Node node = running_node(9);
    node.liveness[1] = Liveness::dead;
    const Decision first = node.decide_for(0);
    ASSERT_TRUE(first.proposal);
    EXPECT_EQ(first.proposal->at(MemberSlot{1}).state, MemberState::failed);
    EXPECT_THAT(first.reassigns, IsEmpty());
    node.carry_out(first);
    const Decision second = node.decide_for(0);
    EXPECT_EQ(second.reassigns.size(), 3U);
    node.carry_out(second);
    EXPECT_THAT(node.owners(), ElementsAre(0, 0, 0, 0, 0, 2, 2, 2, 2));
    EXPECT_EQ(DirectoryWord{node.words[3].load()}, DirectoryWord::make(MemberSlot{0}, OwnerState::recovering, 2));
    EXPECT_EQ(DirectoryWord{node.words[0].load()}, DirectoryWord::make(MemberSlot{0}, OwnerState::active, 1));
    EXPECT_TRUE(node.decide_for(0).nothing());
}

TEST(Reconcile, EveryStepCanBeTheLastOfACoordinatorAndTheNextFinishes) {
    // 5 members, 40 VNodes; four die one after the other, each coordinator after k compare-and-swaps of its batch.
    for (std::size_t k = 0; k < 12; ++k) {
        Node node{40};
        node.expected = 5;
        for (std::uint32_t slot = 0; slot < 5; ++slot) {
            node.join(slot, slot);
        }
        node.reassign_max = 3;
        for (std::uint32_t coordinator = 0; coordinator < 4; ++coordinator) {
            for (std::size_t step = 0; step < k; ++step) {
                node.carry_out(node.decide_for(coordinator));
            }
            node.liveness[coordinator] = Liveness::dead;
        }
        node.settle(4);
        EXPECT_EQ(node.owners(), std::vector<std::uint32_t>(40, 4)) << "k = " << k;
        EXPECT_EQ(node.view.active_count(), 1U);
    }
}

TEST(Reconcile, AHungMemberIsKilledBeforeAnythingElse) {
    Node node = running_node(6);
    node.liveness[0] = Liveness::hung;
    node.liveness[2] = Liveness::dead;
    const Decision decision = node.decide_for(1);
    EXPECT_THAT(decision.kills, ElementsAre(MemberSlot{0}));
    EXPECT_FALSE(decision.proposal);
    EXPECT_THAT(decision.reassigns, IsEmpty());
    node.settle(1);
    EXPECT_EQ(node.owners(), std::vector<std::uint32_t>(6, 1));
}

TEST(Reconcile, ALeavingMemberRetiresAndOthersTakeItsVNodes) {
    Node node = running_node(6);
    node.published[0].state = PublishedState::leaving;
    EXPECT_TRUE(node.decide_for(0).nothing()) << "one that leaves decides nothing";
    node.settle(1);
    EXPECT_EQ(node.view.at(MemberSlot{0}).state, MemberState::retired);
    EXPECT_THAT(node.owners(), ElementsAre(1, 2, 1, 1, 2, 2));
}

TEST(Reconcile, ALeavingMemberIsRetiredAlsoWhenItHangsOrIsGone) {
    for (const Liveness liveness : {Liveness::hung, Liveness::dead}) {
        Node node = running_node(6);
        node.published[2].state = PublishedState::leaving;
        node.liveness[2] = liveness;
        EXPECT_THAT(node.decide_for(0).kills, IsEmpty());
        node.settle(0);
        EXPECT_EQ(node.view.at(MemberSlot{2}).state, MemberState::retired);
    }
}

TEST(Reconcile, WhenAllLeaveNobodyActs) {
    Node node = running_node(6);
    for (std::uint32_t slot = 0; slot < 3; ++slot) {
        node.published[slot].state = PublishedState::leaving;
    }
    for (std::uint32_t slot = 0; slot < 3; ++slot) {
        EXPECT_TRUE(node.decide_for(slot).nothing());
    }
}

TEST(Reconcile, AVNodeGivenToAMemberThatLeftMeanwhileMovesOn) {
    Node node = running_node(6);
    node.liveness[0] = Liveness::dead;
    node.settle(1);
    node.published[2].state = PublishedState::leaving;
    node.settle(1);
    EXPECT_EQ(node.owners(), std::vector<std::uint32_t>(6, 1));
}

TEST(Reconcile, ALateJoinerIsAdmittedAndIsTheYoungestWhateverItsTicket) {
    Node node = running_node(6);
    node.published[3] = PublishedMember{PublishedState::joining, Incarnation{1}, 0};
    node.settle(0);
    EXPECT_TRUE(node.view.is_active(MemberSlot{3}));
    EXPECT_EQ(node.view.at(MemberSlot{3}).order, 3U);
}

TEST(Reconcile, ANewcomerInAUsedSlotWaitsUntilNoWordNamesIt) {
    Node node = running_node(6);
    node.join(1, 9, 2);
    node.carry_out(node.decide_for(0));
    EXPECT_EQ(node.view.at(MemberSlot{1}).state, MemberState::failed) << "its predecessor is gone, words name the slot";
    node.look_at_words = false;
    EXPECT_TRUE(node.decide_for(0).nothing()) << "cannot know without looking";
    node.look_at_words = true;
    const Decision reassigning = node.decide_for(0);
    EXPECT_FALSE(reassigning.proposal);
    EXPECT_EQ(reassigning.reassigns.size(), 2U);
    node.carry_out(reassigning);
    node.settle(0);
    EXPECT_TRUE(node.view.is_active(MemberSlot{1}));
    EXPECT_EQ(node.view.at(MemberSlot{1}).incarnation, Incarnation{2});
    EXPECT_THAT(node.owners(), ElementsAre(0, 0, 0, 2, 2, 2));
}

TEST(Reconcile, AFounderInAUsedSlotFreesWhatItsPredecessorOwnedAndTakesItAnew) {
    Node node = running_node(6);
    node.liveness[0] = node.liveness[2] = Liveness::dead;
    node.join(1, 9, 2);
    EXPECT_GT(node.settle(1), 3);
    EXPECT_TRUE(node.view.is_active(MemberSlot{1}));
    EXPECT_EQ(node.view.active_count(), 1U);
    EXPECT_EQ(node.owners(), std::vector<std::uint32_t>(6, 1));
    for (std::size_t v = 0; v < 6; ++v) {
        EXPECT_EQ(DirectoryWord{node.words[v].load()}.state(), OwnerState::recovering) << "restored, not just kept";
    }
}

TEST(Reconcile, ADeadIncarnationIsNotReadmitted) {
    Node node = running_node(6);
    node.liveness[2] = Liveness::dead;
    node.settle(0);
    node.liveness[2] = Liveness::alive;  // a mistaken observer; the record is still that of the failed one
    EXPECT_TRUE(node.decide_for(0).nothing());
}

TEST(Reconcile, NamesOfASpaceAreNotPlacedNotRecoveredAndFreedOnRetirement) {
    Node node{3};
    node.kind = NameSpaceKind::space;
    node.expected = 3;
    for (std::uint32_t slot = 0; slot < 3; ++slot) {
        node.join(slot, slot);
    }
    node.settle(0);
    EXPECT_EQ(node.owners(), std::vector<std::uint32_t>(3, 999));
    node.words[0] = DirectoryWord{}.assumed_by(MemberSlot{1}).activated().bits;
    node.words[1] = DirectoryWord{}.assumed_by(MemberSlot{2}).activated().released().bits;
    node.published[1].state = PublishedState::leaving;
    node.settle(0);
    EXPECT_EQ(node.owners(), std::vector<std::uint32_t>(3, 999));
    EXPECT_EQ(DirectoryWord{node.words[0].load()}.version(), 2U);
    node.words[2] = DirectoryWord{}.assumed_by(MemberSlot{2}).activated().bits;
    node.liveness[2] = Liveness::dead;
    node.carry_out(node.decide_for(0));
    EXPECT_THAT(node.decide_for(0).lost, ElementsAre(LostName{0, VNodeId{2}, MemberSlot{2}}));
}

TEST(Reconcile, AWordThatNamesNoSlotIsRepaired) {
    Node node = running_node(6);
    node.words[3] = DirectoryWord::make(MemberSlot{70000}, OwnerState::active, 8).bits;
    node.settle(0);
    EXPECT_EQ(DirectoryWord{node.words[3].load()}.version(), 9U);
    EXPECT_LT(node.owners()[3], 3U);
}

TEST(Reconcile, BatchesComeToTheSamePlacement) {
    Node whole = running_node(1000);
    Node batched{1000};
    batched.expected = 3;
    batched.reassign_max = 37;
    for (std::uint32_t slot = 0; slot < 3; ++slot) {
        batched.join(slot, slot);
    }
    EXPECT_GT(batched.settle(0), 27);
    EXPECT_EQ(batched.owners(), whole.owners());
}

TEST(Reconcile, AMillionVNodesArePlacedAndAdopted) {
    Node node = running_node(1'000'000);
    node.liveness[0] = Liveness::dead;
    EXPECT_LE(node.settle(1), 2);
    std::map<std::uint32_t, std::size_t> loads;
    for (const std::uint32_t owner : node.owners()) {
        ++loads[owner];
    }
    EXPECT_EQ(loads.size(), 2U);
    EXPECT_EQ(loads[1], 500'000U);
}

}  // namespace
}  // namespace phoenix
