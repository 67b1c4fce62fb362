/// Nodes of a job of several: what is elsewhere is the port's, what is here is the members'.

#include "unit/membership/node.hpp"

#include <algorithm>

namespace phoenix {
namespace {

using testing_tools::Node;

constexpr std::uint32_t port_slot = 0;  // it comes first: the agent makes the node's memory

/// Two members in slots 1 and 2, a port in slot 0, VNodes 0 to 3 here, 4 to 7 on node 1.
Node half_of_a_job() {
    Node node{8};
    node.locations.reset(new AtomicLocationWord[8]());
    for (std::uint32_t v = 0; v < 8; ++v) {
        const NodeId first = first_node_of(v, 8, 2);
        const LocationState state = first.value == 0 ? LocationState::here : LocationState::away;
        node.locations[v] = LocationWord::make(first, state, 0).bits;
    }
    node.expected = 2;
    node.join(port_slot, 0);
    node.published[port_slot].is_port = true;
    node.join(1, 1);
    node.join(2, 2);
    return node;
}

/// The same, everybody admitted and every VNode with its owner.
Node half_at_work() {
    Node node = half_of_a_job();
    node.settle(1);
    node.activate_all();
    return node;
}

TEST(ReconcilePort, APortDoesNotFoundAndIsNotWaitedForNorActsButIsAdmitted) {
    Node node = half_of_a_job();
    node.expected = 3;
    EXPECT_TRUE(node.decide_for(port_slot).nothing());
    node.settle(1);
    EXPECT_TRUE(node.view.is_active(MemberSlot{port_slot}));
    EXPECT_TRUE(node.decide_for(port_slot).nothing());
    EXPECT_EQ(node.owners(), (std::vector<std::uint32_t>{999, 999, 999, 999, 0, 0, 0, 0}))
        << "a third member is expected, and the port is none";
}

TEST(ReconcilePort, WhatIsHereIsPlacedOnMembersAndWhatIsElsewhereOnThePort) {
    Node node = half_of_a_job();
    node.settle(1);
    EXPECT_EQ(node.owners(), (std::vector<std::uint32_t>{1, 1, 2, 2, 0, 0, 0, 0}));
}

TEST(ReconcilePort, VNodesOfADeadMemberNeverGoToThePort) {
    Node node = half_at_work();
    node.liveness[2] = Liveness::dead;
    node.settle(1);
    EXPECT_EQ(node.owners(), (std::vector<std::uint32_t>{1, 1, 1, 1, 0, 0, 0, 0}));
}

TEST(ReconcilePort, AfterTheDeathOfThePortTheNextOneAnswersAndWhatIsHereIsAMembers) {
    Node node = half_at_work();
    // VNode 0 was given to the port, to go to another node, and has not gone.
    node.words[0] = DirectoryWord{node.words[0].load()}.given_to(MemberSlot{port_slot}).bits;
    node.settle(1);
    EXPECT_EQ(node.owners()[0], port_slot) << "on its way";
    node.liveness[port_slot] = Liveness::dead;
    node.settle(1);
    EXPECT_EQ(node.owners()[0], 1U) << "here still: the member with the smaller load";
    EXPECT_EQ(node.owners()[4], port_slot) << "nobody else can answer for it yet";
    node.join(3, 3);
    node.published[3].is_port = true;
    node.settle(1);
    EXPECT_EQ(node.owners(), (std::vector<std::uint32_t>{1, 1, 2, 2, 3, 3, 3, 3}));
}

TEST(ReconcilePort, AStateThatIsLeavingStaysWithPortsOnly) {
    Node node = half_at_work();
    node.words[0] = DirectoryWord{node.words[0].load()}.given_to(MemberSlot{port_slot}).activated().bits;
    node.locations[0] = LocationWord{node.locations[0].load()}.given_to(NodeId{1}).bits;
    node.liveness[port_slot] = Liveness::dead;
    node.settle(1);
    EXPECT_EQ(node.owners()[0], port_slot) << "the other node may execute it already";
}

TEST(ReconcilePort, TheLastMemberMayNotRetireAlthoughThePortStays) {
    Node node = half_at_work();
    node.liveness[2] = Liveness::dead;
    node.settle(1);
    node.published[1].retire_wanted = true;
    const Decision decision = node.decide_for(1);
    EXPECT_EQ(decision.refusals, std::vector<MemberSlot>{MemberSlot{1}});
    EXPECT_FALSE(decision.proposal.has_value());
}

TEST(ReconcilePort, BalanceGivesThePortNothing) {
    Node node = half_at_work();
    for (const std::uint32_t slot : {1U, 2U, 3U}) node.published[slot].taking = 1;
    node.join(3, 3);
    node.published[3].taking = 1;
    node.balance = true;
    node.settle(1);
    node.move_all();
    node.settle(1);
    const std::vector<std::uint32_t> owners = node.owners();
    EXPECT_EQ(std::count(owners.begin(), owners.begin() + 4, 3U), 1);
    EXPECT_EQ(std::count(owners.begin(), owners.begin() + 4, port_slot), 0);
    EXPECT_EQ(std::count(owners.begin() + 4, owners.end(), port_slot), 4);
}

TEST(ReconcilePort, TheLastMemberMayRetireIfOtherNodesHaveMembersAndThePortRetiresIt) {
    Node node = half_at_work();
    node.keepers_elsewhere = 2;
    node.published[1].retire_wanted = node.published[2].retire_wanted = true;
    node.settle(1);
    EXPECT_EQ(node.view.members[1].state, MemberState::draining);
    EXPECT_EQ(node.view.members[2].state, MemberState::draining);
    EXPECT_TRUE(node.published[1].retire_wanted) << "not refused";
    EXPECT_TRUE(node.decide_for(port_slot).nothing()) << "members are there, and decide";
    node.published[1].state = node.published[2].state = PublishedState::leaving;
    node.waits_to_retire = 1;
    EXPECT_TRUE(node.decide_for(1).nothing()) << "the port will retire it";
    node.waits_to_retire.reset();
    node.settle(port_slot);
    EXPECT_EQ(node.view.members[1].state, MemberState::retired);
    EXPECT_EQ(node.view.members[2].state, MemberState::retired);
}

TEST(ReconcilePort, AMemberThatDrainsStaysWhenOtherNodesHaveNoneAnyMore) {
    Node node = half_at_work();
    node.keepers_elsewhere = 1;
    node.published[1].retire_wanted = node.published[2].retire_wanted = true;
    node.settle(1);
    node.keepers_elsewhere = 0;
    node.settle(1);
    EXPECT_TRUE(node.view.is_active(MemberSlot{1}));
}

TEST(ReconcilePort, VNodesOfTheLastMembersThatDieGoToThePort) {
    Node node = half_at_work();
    node.keepers_elsewhere = 1;
    node.liveness[1] = node.liveness[2] = Liveness::dead;
    node.settle(port_slot);
    EXPECT_EQ(node.view.members[1].state, MemberState::failed);
    EXPECT_EQ(node.owners(), (std::vector<std::uint32_t>(8, port_slot)));
}

TEST(ReconcilePort, WithoutMembersElsewhereThePortDecidesNothing) {
    Node node = half_at_work();
    node.liveness[1] = node.liveness[2] = Liveness::dead;
    EXPECT_TRUE(node.decide_for(port_slot).nothing());
    EXPECT_EQ(node.owners(), (std::vector<std::uint32_t>{1, 1, 2, 2, 0, 0, 0, 0}));
}

TEST(ReconcilePort, ANewPortAdmitsItselfIfNobodyElseIsLeft) {
    Node node = half_at_work();
    node.keepers_elsewhere = 1;
    for (const std::uint32_t slot : {0U, 1U, 2U}) node.liveness[slot] = Liveness::dead;
    node.join(3, 3);
    node.published[3].is_port = true;
    node.settle(3);
    EXPECT_TRUE(node.view.is_active(MemberSlot{3}));
    EXPECT_EQ(node.owners(), (std::vector<std::uint32_t>(8, 3U)));
}

TEST(ReconcilePort, ANewPortThatHasHeardOfNobodyAdmitsItselfAndDoesNoMore) {
    Node node = half_at_work();
    for (const std::uint32_t slot : {0U, 1U, 2U}) node.liveness[slot] = Liveness::dead;
    node.join(3, 3);
    node.published[3].is_port = true;
    node.settle(3);
    EXPECT_TRUE(node.view.is_active(MemberSlot{3}));
    EXPECT_TRUE(node.decide_for(3).nothing());
    EXPECT_EQ(node.owners()[0], 1U) << "nobody could take it";
}

TEST(ReconcilePort, WhatIsAskedToGoToAnotherNodeIsNoLongerBalancedHere) {
    Node node = half_at_work();
    node.published[1].taking = node.published[2].taking = 1;
    const DirectoryWord word{node.words[0].load()};
    const MoveRequest wish = MoveRequest::to_node(NodeId{1}, word.version());
    node.requests[0] = wish.bits;
    node.balance = true;
    node.settle(1);
    EXPECT_EQ(node.requests[0].load(), wish.bits);
}

TEST(ReconcilePort, MembersOfTheStartThatHaveNotComeAreWaitedForBeforeThePortActs) {
    Node node = half_of_a_job();
    node.expected = 3;
    node.keepers_elsewhere = 1;
    node.settle(1);
    node.liveness[1] = node.liveness[2] = Liveness::dead;
    EXPECT_TRUE(node.decide_for(port_slot).nothing());
    node.start_time_over = true;
    node.settle(port_slot);
    EXPECT_EQ(node.owners(), (std::vector<std::uint32_t>(8, port_slot)));
}

TEST(ReconcilePort, MembersThatDieBeforeAnyViewLeaveTheirVNodesToThePort) {
    Node node = half_of_a_job();
    node.keepers_elsewhere = 1;
    node.liveness[1] = node.liveness[2] = Liveness::dead;
    node.settle(port_slot);
    EXPECT_EQ(node.owners(), (std::vector<std::uint32_t>(8, port_slot)));
}

TEST(ReconcilePort, ThePortKillsMembersThatHangTogether) {
    Node node = half_at_work();
    node.keepers_elsewhere = 1;
    node.liveness[1] = node.liveness[2] = Liveness::hung;
    EXPECT_EQ(node.decide_for(port_slot).kills, (std::vector<MemberSlot>{MemberSlot{1}, MemberSlot{2}}));
}

}  // namespace
}  // namespace phoenix
