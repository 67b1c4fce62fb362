#include "membership/placement_rule.hpp"
#include "unit/runtime/port_node.hpp"

#include <gtest/gtest.h>
#include <span>
#include <string>

namespace phoenix {
namespace {

using testing_tools::commit_sample;
using testing_tools::FakeTransport;
using testing_tools::PortNodeFixture;

/// Node 0 of three; VNodes 0, 1 here, 2, 3 on node 1, 4, 5 on node 2.
struct PortDomainTest : ::testing::Test {
    PortNodeFixture node{0, 3, 6};

    static RecordFrameHead head_of(const FakeTransport::Frame& frame) {
        RecordFrameHead head{};
        EXPECT_TRUE(read_head(frame.head, head));
        return head;
    }
    void accept(const FakeTransport::Frame& frame) { node.links.acknowledged(frame.cookie); }
    /// A member of this node joins the view, so that the port can give it something.
    void admit_member() {
        const View view =
            with_active(with_active(next_of({}), MemberSlot{PortNodeFixture::member_slot}, Incarnation{1}),
                        MemberSlot{PortNodeFixture::port_slot}, Incarnation{1});
        const ViewImage image = image_of(view);
        std::memcpy(node.context.segment().view_buffer(0), &image, sizeof image);
        node.context.header().view_current.store(ViewWord::make(view.number, 0).bits);
    }
    std::span<const std::byte> bytes(std::string_view text) const { return std::as_bytes(std::span{text}); }
};

TEST_F(PortDomainTest, AMessageForAnotherNodeIsGivenUpWhenThatNodeHasIt) {
    node.work();
    node.send_from_member(0, 2, 0, "hello");
    node.work();
    const auto sent = node.sent(FrameType::record);
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].peer, NodeId{1});
    const RecordFrameHead head = head_of(sent[0]);
    EXPECT_EQ(head.source, 0U);
    EXPECT_EQ(head.destination, 2U);
    EXPECT_EQ(head.epoch, 0U);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(sent[0].payload.data()), sent[0].payload.size()), "hello");
    EXPECT_FALSE(node.last.released()) << "it may get lost on the way";
    accept(sent[0]);
    EXPECT_TRUE(node.last.released());
}

TEST_F(PortDomainTest, WhatThePeerDidNotTakeIsSentAgain) {
    node.work();
    node.send_from_member(0, 2, 0, "hello");
    node.work();
    node.links.ended(NodeId{1});
    node.work();
    EXPECT_EQ(node.sent(FrameType::record).size(), 1U) << "no link";
    node.links.connected(NodeId{1});
    node.work();
    EXPECT_EQ(node.sent(FrameType::record).size(), 1U) << "the new port has not said that it knows the domain";
    node.links.set_ready(NodeId{1}, 0);
    node.work();
    ASSERT_EQ(node.sent(FrameType::record).size(), 2U);
    EXPECT_FALSE(node.last.released());
    accept(node.sent(FrameType::record)[1]);
    EXPECT_TRUE(node.last.released());
}

TEST_F(PortDomainTest, TheNextPortFindsWhatTheOneBeforeLeft) {
    node.send_from_member(0, 2, 0, "hello");
    node.network.room = 0;
    node.work();
    EXPECT_TRUE(node.sent(FrameType::record).empty());
    node.network.room = 1000;
    PortDomain heir{{node.context, *node.pool, *node.mail, node.links}, *node.domain};
    heir.work(true);
    EXPECT_EQ(node.sent(FrameType::record).size(), 1U);
}

// The record's chunk may be in other use by the time an old acknowledgement comes.
TEST_F(PortDomainTest, AnAcknowledgementFromBeforeTheVNodeCameBackReleasesNothing) {
    node.work();
    node.send_from_member(0, 2, 0, "hello");
    node.work();
    const auto first = node.sent(FrameType::record);
    ASSERT_EQ(first.size(), 1U);
    // The VNode has come here and gone again: the port answers for it by another word.
    const DirectoryWord word = node.word(2);
    node.context.directory_word(*node.domain, 2) =
        word.given_to(MemberSlot{PortNodeFixture::member_slot}).activated().given_to(MemberSlot{255}).bits;
    node.work();
    accept(first[0]);
    EXPECT_FALSE(node.last.released());
    const auto again = node.sent(FrameType::record);
    ASSERT_EQ(again.size(), 2U) << "found by the scan, under the new word";
    accept(again[1]);
    EXPECT_TRUE(node.last.released());
}

TEST_F(PortDomainTest, MessagesThatComeBeforeTheStateWaitForIt) {
    node.work();
    RecordFrameHead head{1, 4, 2, 7, 0, 0, 0, 0};  // node 1 says: VNode 2 is yours since epoch 1
    node.port->take_record(NodeId{1}, head, bytes("early"), 0);
    node.work();
    EXPECT_TRUE(node.sent(FrameType::record).empty());
    EXPECT_TRUE(node.sent(FrameType::hint).empty());
}

TEST_F(PortDomainTest, AMessageThatCameToTheWrongNodeGoesOnAndTheSenderIsTold) {
    node.work();
    RecordFrameHead head{0, 4, 2, 7, 0, 0, 0, 0};
    node.port->take_record(NodeId{2}, head, bytes("astray"), 0);
    node.work();
    node.work();
    const auto sent = node.sent(FrameType::record);
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].peer, NodeId{1});
    const auto hints = node.sent(FrameType::hint);
    ASSERT_EQ(hints.size(), 1U);
    EXPECT_EQ(hints[0].peer, NodeId{2});
}

TEST_F(PortDomainTest, AVNodeThatIsToGoIsDecidedThenSentAndFreedWhenStored) {
    commit_sample(node, 1);
    node.wish(1, 2);
    node.give_to_port(1);
    node.work();
    EXPECT_EQ(node.port->location(1), LocationWord::make(NodeId{2}, LocationState::leaving, 1));
    const auto states = node.sent(FrameType::state);
    ASSERT_EQ(states.size(), 1U);
    EXPECT_EQ(states[0].peer, NodeId{2});
    accept(states[0]);
    EXPECT_EQ(node.port->location(1).state(), LocationState::leaving) << "accepted is not stored";
    node.port->take_stored(NodeId{1}, {0, 1, 1, 1, 0});
    EXPECT_EQ(node.port->location(1).state(), LocationState::leaving) << "another node's word does not count";
    node.port->take_stored(NodeId{2}, {0, 1, 1, 2, 0});
    EXPECT_EQ(node.port->location(1), LocationWord::make(NodeId{2}, LocationState::away, 1));
}

TEST_F(PortDomainTest, AStateIsSentAgainToAPortThatWasStartedAnew) {
    commit_sample(node, 1);
    node.wish(1, 2);
    node.give_to_port(1);
    node.work();
    // Accepted by the port that died, which had not stored it; or had, and could not say so any more.
    node.links.ended(NodeId{2});
    node.port->link_ended(NodeId{2});
    node.links.connected(NodeId{2});
    node.links.set_ready(NodeId{2}, 0);
    node.work();
    EXPECT_EQ(node.sent(FrameType::state).size(), 2U);
    PortDomain heir{{node.context, *node.pool, *node.mail, node.links}, *node.domain};
    heir.work(true);
    EXPECT_EQ(node.sent(FrameType::state).size(), 3U) << "the next port of this node knows of it as well";
}

TEST_F(PortDomainTest, AVNodeWithoutAWishGoesBackToAMember) {
    admit_member();
    commit_sample(node, 1);
    node.give_to_port(1);
    node.work();
    EXPECT_EQ(node.word(1).owner(), MemberSlot{PortNodeFixture::member_slot});
    EXPECT_TRUE(node.port->location(1).here());
}

TEST_F(PortDomainTest, OnARingAVNodeThatHasComeGoesToWhomItBelongs) {
    PortNodeFixture many{0, 2, 64};
    many.domain->placement = PlacementRule{PlacementKind::ring, 8}.word();
    View view = with_active(next_of({}), MemberSlot{PortNodeFixture::port_slot}, Incarnation{1});
    std::vector<RingMember> members;
    for (const std::uint32_t slot : {0U, 1U, 2U}) {
        view = with_active(view, MemberSlot{slot}, Incarnation{1});
        members.push_back({MemberSlot{slot}, view.at(MemberSlot{slot}).order});
    }
    const ViewImage image = image_of(view);
    std::memcpy(many.context.segment().view_buffer(0), &image, sizeof image);
    many.context.header().view_current.store(ViewWord::make(view.number, 0).bits);
    for (std::uint32_t v = 0; v < 32; ++v) many.give_to_port(v);
    many.work();
    const Ring ring{8, members};
    for (std::uint32_t v = 0; v < 32; ++v) EXPECT_EQ(many.word(v).owner(), ring.owner_of(VNodeId{v})) << "VNode " << v;
}

// It would bounce between two ports for ever.
TEST_F(PortDomainTest, AWishIsFulfilledOnce) {
    admit_member();
    PortNodeFixture other{2, 3, 6};
    commit_sample(node, 1);
    node.wish(1, 2);
    node.give_to_port(1);
    node.work();
    const auto state = node.sent(FrameType::state)[0];
    StateHead head{};
    ASSERT_TRUE(read_head(state.head, head));
    node.port->take_stored(NodeId{2}, {0, 1, 1, 2, 0});
    // It comes back unchanged with the next epoch.
    head.epoch = 2;
    const ExtentId extent = *node.pool->allocate(state.payload.size(), ExtentKind::payload);
    std::memcpy(node.pool->data(extent), state.payload.data(), state.payload.size());
    node.port->take_state(NodeId{2}, head, extent, state.payload.size());
    node.work();
    EXPECT_TRUE(node.port->location(1).here());
    EXPECT_EQ(node.word(1).owner(), MemberSlot{PortNodeFixture::member_slot});
}

TEST_F(PortDomainTest, NoVNodeLeavesWhileCollectivesAreOnTheirWay) {
    commit_sample(node, 1);
    node.wish(1, 2);
    node.give_to_port(1);
    node.port->hold_back(true);
    node.work();
    EXPECT_TRUE(node.port->location(1).here());
    node.port->hold_back(false);
    node.work();
    EXPECT_FALSE(node.port->location(1).here());
}

TEST_F(PortDomainTest, AStateThatCameTwiceIsStoredOnceAndConfirmedTwice) {
    PortNodeFixture from{1, 3, 6};
    commit_sample(from, 2);
    from.wish(2, 0);
    from.give_to_port(2);
    from.work();
    const auto state = from.sent(FrameType::state)[0];
    StateHead head{};
    ASSERT_TRUE(read_head(state.head, head));
    admit_member();
    node.work();
    for (int time = 0; time < 2; ++time) {
        const ExtentId extent = *node.pool->allocate(state.payload.size(), ExtentKind::payload);
        std::memcpy(node.pool->data(extent), state.payload.data(), state.payload.size());
        node.port->take_state(NodeId{1}, head, extent, state.payload.size());
        node.work();
        EXPECT_EQ(node.word(2).owner(), MemberSlot{PortNodeFixture::member_slot});
    }
    EXPECT_EQ(node.sent(FrameType::stored).size(), 2U);
    EXPECT_EQ(node.context.vnode_record(*node.domain, 2).select.load(), 1U);
    EXPECT_EQ(node.port->location(2), LocationWord::make(NodeId{0}, LocationState::here, 1));
}

}  // namespace
}  // namespace phoenix
