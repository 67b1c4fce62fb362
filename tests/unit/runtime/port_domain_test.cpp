#include "membership/placement_rule.hpp"
#include "runtime/sweep.hpp"
#include "unit/runtime/port_node.hpp"

#include <algorithm>
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
    static StateHead state_head(const FakeTransport::Frame& frame, std::uint64_t epoch) {
        StateHead head{};
        EXPECT_TRUE(read_head(frame.head, head));
        head.epoch = epoch;
        return head;
    }
    /// Begins to arrive, as the transport would have it: the first `bytes` of the payload.
    Landing begin(const FakeTransport::Frame& meta, const FakeTransport::Frame& state, std::uint64_t epoch, NodeId from,
                  std::size_t bytes) {
        node.port->take_state_meta(from, state_head(meta, epoch), meta.payload);
        Landing landing = node.port->place_state(from, state_head(state, epoch), state.payload.size());
        std::span<const std::byte> left{state.payload.data(), bytes};
        for (const auto& place : landing.places(state.payload.size())) {
            const auto part = left.first(std::min(left.size(), place.size()));
            std::copy(part.begin(), part.end(), place.begin());
            left = left.subspan(part.size());
        }
        return landing;
    }
    void arrive(const FakeTransport::Frame& meta, const FakeTransport::Frame& state, std::uint64_t epoch, NodeId from) {
        (void)begin(meta, state, epoch, from, state.payload.size());
        node.port->take_state(from, state_head(state, epoch));
    }
    std::size_t state_extents() const {
        std::size_t count = 0;
        node.pool->for_each([&](ExtentId, std::uint64_t, const ExtentOwner& owner) {
            count += owner.kind == ExtentKind::state ? 1 : 0;
        });
        return count;
    }
    std::span<const std::byte> heat(std::uint32_t vnode) const {
        VNodeRecord& record = node.context.vnode_record(*node.domain, vnode);
        const FieldCommit commit = fields_of(slot_of(record, *node.domain, record.select.load()))[0];
        return committed_bytes(node.context, *node.pool, *node.domain, vnode, 0, commit);
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
    node.port->take_stored(NodeId{2}, {0, 1, 1, 2, 0});
    accept(state);
    // It comes back unchanged with the next epoch.
    arrive(node.sent(FrameType::state_meta)[0], state, 2, NodeId{2});
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
    admit_member();
    node.work();
    for (int time = 0; time < 2; ++time) {
        arrive(from.sent(FrameType::state_meta)[0], from.sent(FrameType::state)[0], 1, NodeId{1});
        node.work();
        EXPECT_EQ(node.word(2).owner(), MemberSlot{PortNodeFixture::member_slot});
    }
    EXPECT_EQ(node.sent(FrameType::stored).size(), 2U);
    EXPECT_EQ(node.context.vnode_record(*node.domain, 2).select.load(), 1U);
    EXPECT_EQ(node.port->location(2), LocationWord::make(NodeId{0}, LocationState::here, 1));
}

/// VNode 2 of node 1 is sent to node 0.
struct PortDomainArrivalTest : PortDomainTest {
    PortNodeFixture from{1, 3, 6};
    FakeTransport::Frame meta;
    FakeTransport::Frame state;

    void SetUp() override {
        admit_member();
        commit_sample(from, 2);
        from.wish(2, 0);
        from.give_to_port(2);
        from.work();
        meta = from.sent(FrameType::state_meta).at(0);
        state = from.sent(FrameType::state).at(0);
        node.work();
    }
    void expect_nothing_has_come() const {
        EXPECT_EQ(state_extents(), 0U);
        EXPECT_EQ(node.context.vnode_record(*node.domain, 2).select.load(), 0U);
        EXPECT_EQ(node.port->location(2), LocationWord::make(NodeId{1}, LocationState::away, 0));
        EXPECT_TRUE(node.sent(FrameType::stored).empty());
    }
    void expect_it_has_come() const {
        EXPECT_EQ(node.port->location(2), LocationWord::make(NodeId{0}, LocationState::here, 1));
        ASSERT_EQ(heat(2).size(), PortNodeFixture::heat_bytes);
        for (const std::byte byte : heat(2)) ASSERT_EQ(byte, std::byte{0x5A});
        EXPECT_EQ(state_extents(), 2U);
        EXPECT_EQ(node.sent(FrameType::stored).size(), 1U);
    }
};

TEST_F(PortDomainArrivalTest, AStateHasNoPlaceBeforeItsMetaHasCome) {
    const auto place = [&] { return node.port->place_state(NodeId{1}, state_head(state, 1), state.payload.size()); };
    EXPECT_EQ(place().kind(), Landing::Kind::later);
    node.port->take_state_meta(NodeId{1}, state_head(meta, 2), meta.payload);
    EXPECT_EQ(place().kind(), Landing::Kind::later) << "the meta is of another epoch";
    node.port->take_state_meta(NodeId{1}, state_head(meta, 1), meta.payload);
    const Landing landing = place();
    ASSERT_EQ(landing.kind(), Landing::Kind::scattered);
    (void)landing.fill(state.payload);
    node.port->take_state(NodeId{1}, state_head(state, 1));
    expect_it_has_come();
}

// A link ends so, whether its peer died or a piece was damaged: what has come of the state is not executed, and leaves
// nothing behind.
TEST_F(PortDomainArrivalTest, AStateThatIsWithdrawnIsNotExecutedAndComesWholeTheNextTime) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, state.payload.size() / 2, state.payload.size()}) {
        SCOPED_TRACE(size);
        const Landing landing = begin(meta, state, 1, NodeId{1}, size);
        node.work();
        EXPECT_EQ(state_extents(), 2U);
        EXPECT_FALSE(node.port->withdraw_state(landing.address() + 1));
        EXPECT_TRUE(node.port->withdraw_state(landing.address()));
        node.port->link_ended(NodeId{1});
        node.work();
        expect_nothing_has_come();
    }
    (void)begin(meta, state, 1, NodeId{1}, 3);
    node.port->link_ended(NodeId{1});
    expect_nothing_has_come();
    arrive(meta, state, 1, NodeId{1});
    expect_it_has_come();
}

TEST_F(PortDomainArrivalTest, APortThatDiesWhileAStateArrivesLeavesNothingOfIt) {
    for (const std::size_t size : {std::size_t{0}, state.payload.size() / 2, state.payload.size()}) {
        SCOPED_TRACE(size);
        (void)begin(meta, state, 1, NodeId{1}, size);
        EXPECT_EQ(state_extents(), 2U);
        // Nothing of the port is left but what lies in shared memory; the next one is in another slot.
        const View before = node.context.current_view();
        const View after = with_failed(before, MemberSlot{PortNodeFixture::port_slot});
        ExtentPool heirs{node.context.segment(), node.context.arena(), 254};
        (void)sweep_after_the_dead(node.context, heirs, after);
        expect_nothing_has_come();
        node.port =
            std::make_unique<PortDomain>(PortNode{node.context, *node.pool, *node.mail, node.links}, *node.domain);
        node.work();
    }
    arrive(meta, state, 1, NodeId{1});
    expect_it_has_come();
}

// ... which the dead one has made visible to the sweep only in part: what it wrote into the record is kept, and freed
// when the state comes again.
TEST_F(PortDomainArrivalTest, APortThatDiesWhileItStoresAStateLeavesWhatTheNextArrivalFrees) {
    const Landing landing = begin(meta, state, 1, NodeId{1}, state.payload.size());
    auto room =
        make_room(node.context, *node.pool, *node.domain, 2, state_head(state, 1), meta.payload, state.payload.size());
    ASSERT_TRUE(room);
    ASSERT_TRUE(node.port->withdraw_state(landing.address()));
    VNodeRecord& record = node.context.vnode_record(*node.domain, 2);
    CommitSlot& slot = slot_of(record, *node.domain, 1);
    std::memcpy(fields_of(slot), room->meta.data() + sizeof(CommitSlot), room->meta.size() - sizeof(CommitSlot));
    ExtentPool heirs{node.context.segment(), node.context.arena(), 254};
    (void)sweep_after_the_dead(node.context, heirs,
                               with_failed(node.context.current_view(), MemberSlot{PortNodeFixture::port_slot}));
    EXPECT_EQ(state_extents(), 1U) << "the resizable field";
    node.port = std::make_unique<PortDomain>(PortNode{node.context, *node.pool, *node.mail, node.links}, *node.domain);
    node.work();
    arrive(meta, state, 1, NodeId{1});
    expect_it_has_come();
}

TEST_F(PortDomainArrivalTest, AStateThatIsCompleteWaitsUntilTheVNodeIsThePorts) {
    // As after the death of a port before this one, whose words have not been given on.
    const std::uint64_t version = node.word(2).version();
    node.context.directory_word(*node.domain, 2) =
        DirectoryWord::make(MemberSlot{9}, OwnerState::active, version + 1).bits;
    node.work();
    arrive(meta, state, 1, NodeId{1});
    EXPECT_TRUE(node.sent(FrameType::stored).empty());
    // The link ends: what has been accepted stays. It comes again, which changes nothing.
    node.port->link_ended(NodeId{1});
    node.port->take_state_meta(NodeId{1}, state_head(meta, 1), meta.payload);
    EXPECT_EQ(node.port->place_state(NodeId{1}, state_head(state, 1), state.payload.size()).kind(),
              Landing::Kind::transient);
    node.port->take_state(NodeId{1}, state_head(state, 1));
    EXPECT_EQ(state_extents(), 2U);
    node.context.directory_word(*node.domain, 2) =
        DirectoryWord::make(MemberSlot{PortNodeFixture::port_slot}, OwnerState::active, version + 2).bits;
    node.work();
    expect_it_has_come();
}

// The port of node 2 died after it had stored VNode 1, before it said so. The next one is sent the state again, while
// the VNode comes back: what is being sent must not change on its way, or it would arrive damaged.
TEST_F(PortDomainTest, AVNodeThatComesBackIsNotStoredWhileItsStateIsStillBeingSent) {
    admit_member();
    commit_sample(node, 1);
    node.wish(1, 2);
    node.give_to_port(1);
    node.work();
    const auto meta = node.sent(FrameType::state_meta)[0];
    const auto state = node.sent(FrameType::state)[0];
    auto changed = state;
    for (std::byte& byte : changed.payload) byte ^= std::byte{0x11};
    arrive(meta, changed, 2, NodeId{2});
    node.work();
    EXPECT_EQ(node.port->location(1).state(), LocationState::leaving);
    for (const std::byte byte : heat(1)) ASSERT_EQ(byte, std::byte{0x5A});
    accept(state);
    node.work();
    EXPECT_EQ(node.port->location(1), LocationWord::make(NodeId{0}, LocationState::here, 2));
    for (const std::byte byte : heat(1)) ASSERT_EQ(byte, std::byte{0x5A ^ 0x11});
}

}  // namespace
}  // namespace phoenix
