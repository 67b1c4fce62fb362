/// A link that nothing disturbs: what arrives, in which order, when it is acknowledged, and what it costs to be idle.

#include <algorithm>
#include <random>

#include "unit/transport/raw_caller.hpp"

namespace phoenix {
namespace {

using namespace testing_tools;
using TransportLink = Pair;

TEST_F(TransportLink, BringsFramesOfAllSizesInOrderAndAcknowledgesEach) {
    connect();
    const std::vector<std::size_t> prompt{0, 1, 8, 100, 4096, 65535, 65536};
    const std::vector<std::size_t> bulk{0, 1, 70'000, 512 << 10, (512 << 10) + 1, 5 << 20, 64};
    for (std::size_t i = 0; i < prompt.size(); ++i) {
        send_pattern(*one_, *two_, Lane::prompt, 100 + i, prompt[i]);
        send_pattern(*one_, *two_, Lane::bulk, 200 + i, bulk[i]);
        send_pattern(*two_, *one_, Lane::prompt, 300 + i, prompt[i]);
        send_pattern(*two_, *one_, Lane::bulk, 400 + i, bulk[i]);
    }
    ASSERT_TRUE(
        run([&] { return one_->events.acknowledgements.size() == 14 && two_->events.acknowledgements.size() == 14; }));
    for (const auto& [node, base] : {std::pair{two_.get(), 100U}, std::pair{one_.get(), 300U}}) {
        ASSERT_EQ(node->events.frames.size(), 14U);
        std::size_t next[2] = {0, 0};
        for (const Arrived& frame : node->events.frames) {
            const auto lane = static_cast<std::size_t>(frame.lane);
            const std::size_t index = next[lane]++;
            EXPECT_TRUE(is_pattern(frame, base + 100 * lane + index, lane == 0 ? prompt[index] : bulk[index]))
                << "lane " << lane << " frame " << index;
        }
    }
    EXPECT_EQ(one_->status(*two_).unacknowledged_bytes, 0U);
    EXPECT_EQ(one_->status(*two_).unacknowledged_frames, 0U);
    EXPECT_EQ(one_->status(*two_).queued_bytes, 0U);
}

TEST_F(TransportLink, ReadsALargePayloadOfManyPiecesStraightIntoItsPlace) {
    connect();
    const std::vector<std::byte> payload = pattern(7, 24 << 20);
    std::vector<std::span<const std::byte>> pieces;
    std::mt19937 random{3};
    for (std::size_t at = 0; at < payload.size();) {
        const std::size_t size = std::min<std::size_t>(payload.size() - at, random() % 9 == 0 ? 0 : random() % 20'000);
        pieces.push_back(std::span{payload}.subspan(at, size));
        at += size;
    }
    std::vector<std::byte> place(payload.size());
    two_->events.keep = false;
    std::span<const std::byte> seen;
    two_->events.on_place = [&](NodeId, const Incoming& incoming) {
        EXPECT_EQ(incoming.size, payload.size());
        return Landing::at(place.data());
    };
    two_->events.on_frame = [&](NodeId, const Incoming&, std::span<const std::byte> where) { seen = where; };
    ASSERT_TRUE(one_->hub->send(two_->id(), {.lane = Lane::bulk, .pieces = pieces, .cookie = 5}));
    ASSERT_TRUE(run([&] { return !one_->events.acknowledgements.empty(); }));
    EXPECT_EQ(seen.data(), place.data());
    EXPECT_TRUE(place == payload);
    EXPECT_EQ(two_->events.places, 1U);
    EXPECT_TRUE(two_->events.withdrawals.empty());
}

TEST_F(TransportLink, AcknowledgesOnlyWhatTheHandlerHasReturnedFrom) {
    connect([](HubOptions& options) { options.acknowledge_bytes = 0; });  // at once
    bool inside = false;
    std::size_t acknowledged_inside = 0;
    two_->events.on_frame = [&](NodeId, const Incoming&, std::span<const std::byte>) {
        // Everything that could leave early leaves now.
        two_->hub->flush();
        inside = true;
        for (int i = 0; i < 50; ++i) one_->hub->poll(1);
        acknowledged_inside += one_->events.acknowledgements.size();
    };
    for (const Lane lane : {Lane::prompt, Lane::bulk}) {
        one_->events.acknowledgements.clear();
        inside = false;
        send_pattern(*one_, *two_, lane, 1, 1000);
        ASSERT_TRUE(run([&] { return !one_->events.acknowledgements.empty(); }));
        EXPECT_TRUE(inside);
    }
    EXPECT_EQ(acknowledged_inside, 0U);
}

TEST_F(TransportLink, RefusesWhatIsTooLargeAndWhomItDoesNotKnow) {
    connect();
    const std::vector<std::byte> large(one_->hub->prompt_size_max() + 1);
    const std::span<const std::byte> piece{large};
    const auto code = [](const tl::expected<void, Failure>& result) { return result ? Errc{} : result.error().code; };
    EXPECT_EQ(code(one_->hub->send(two_->id(), {.pieces = std::span{&piece, 1}})), Errc::invalid_argument);
    EXPECT_EQ(code(one_->hub->send(two_->id(), {.head = std::span{large}.first(65)})), Errc::invalid_argument);
    EXPECT_EQ(code(one_->hub->send(NodeId{9}, {})), Errc::member_lost);
    EXPECT_EQ(code(one_->hub->connect(NodeId{1}, "127.0.0.1:1")), Errc::invalid_argument);
    EXPECT_EQ(code(one_->hub->connect(NodeId{9}, "localhost")), Errc::invalid_argument);
    EXPECT_FALSE(one_->hub->writable(NodeId{9}));
    EXPECT_EQ(one_->hub->peers(), std::vector<NodeId>{two_->id()});
}

TEST_F(TransportLink, KeepsFramesThatWereSentBeforeItStood) {
    one_ = std::make_unique<Node>(1);
    two_ = std::make_unique<Node>(2);
    one_->connect_to(*two_);
    EXPECT_EQ(one_->status(*two_).state, LinkState::connecting);
    send_pattern(*one_, *two_, Lane::prompt, 1, 10);
    send_pattern(*one_, *two_, Lane::bulk, 2, 100'000);
    EXPECT_EQ(one_->status(*two_).queued_bytes, 100'010U + 16U);
    ASSERT_TRUE(run([&] { return one_->events.acknowledgements.size() == 2; }));
    EXPECT_EQ(one_->status(*two_).state, LinkState::up);
    EXPECT_EQ(one_->status(*two_).session, two_->hub->session());
}

TEST_F(TransportLink, IsNotWritableWhileTooMuchIsUnacknowledgedAndStandsUntilResumed) {
    for (const Lane lane : {Lane::prompt, Lane::bulk}) {
        connect([](HubOptions& options) { options.unacknowledged_soft_bytes = 1 << 20; });
        bool room = false;
        std::uint64_t refusals = 0;
        two_->events.on_place = [&](NodeId, const Incoming&) {
            refusals += room ? 0 : 1;
            return room ? Landing::transient() : Landing::later();
        };
        std::uint64_t sent = 0;
        while (one_->hub->writable(two_->id())) send_pattern(*one_, *two_, lane, ++sent, 60'000);
        EXPECT_GE(one_->status(*two_).unacknowledged_bytes, 1U << 20);
        ASSERT_TRUE(run([&] { return refusals > 0 && one_->status(*two_).queued_bytes == 0; }));
        for (int i = 0; i < 20; ++i) static_cast<void>(one_->hub->poll(1) + two_->hub->poll(1));
        EXPECT_TRUE(two_->events.frames.empty());
        EXPECT_FALSE(one_->hub->writable(two_->id()));
        // While it stands nothing spins: asked again only when the test says so.
        const std::uint64_t asked = refusals;
        for (int i = 0; i < 20; ++i) static_cast<void>(two_->hub->poll(1));
        EXPECT_EQ(refusals, asked);
        room = true;
        two_->hub->resume(one_->id());
        ASSERT_TRUE(run([&] { return one_->events.acknowledgements.size() == sent; }));
        EXPECT_TRUE(one_->hub->writable(two_->id()));
        ASSERT_EQ(two_->events.frames.size(), sent);
        for (std::uint64_t i = 0; i < sent; ++i) EXPECT_TRUE(is_pattern(two_->events.frames[i], i + 1, 60'000));
    }
}

TEST_F(TransportLink, EmptyFramesFillItAsWell) {
    connect([](HubOptions& options) { options.unacknowledged_soft_bytes = 100'000; });
    std::uint64_t sent = 0;
    while (one_->hub->writable(two_->id()) && sent < 100'000) {
        ASSERT_TRUE(one_->hub->send(two_->id(), {.cookie = 1}));
        ++sent;
    }
    EXPECT_LT(sent, 10'000U);
    ASSERT_TRUE(run([&] { return one_->events.acknowledgements.size() == sent; }));
    EXPECT_TRUE(one_->hub->writable(two_->id()));
}

TEST_F(TransportLink, AFrameThatGotNoPlaceAtFirstIsCopiedIntoOneLater) {
    connect();
    std::vector<std::byte> place(3 << 20);
    int asked = 0;
    two_->events.on_place = [&](NodeId, const Incoming&) {
        return ++asked < 3 ? Landing::later() : Landing::at(place.data());
    };
    send_pattern(*one_, *two_, Lane::bulk, 1, place.size());
    for (int turn = 1; turn <= 2; ++turn) {
        ASSERT_TRUE(run([&] { return asked == 2; }));
        if (turn == 2) two_->hub->resume(one_->id());
    }
    ASSERT_TRUE(run([&] { return !one_->events.acknowledgements.empty(); }));
    EXPECT_EQ(asked, 3);
    EXPECT_TRUE(place == pattern(1, place.size()));
}

TEST_F(TransportLink, EndsWhenOneSideDisconnectsAndComesBackWhenItConnectsAgain) {
    connect();
    send_pattern(*one_, *two_, Lane::prompt, 1, 10);
    ASSERT_TRUE(run([&] { return one_->events.acknowledgements.size() == 1; }));
    one_->hub->disconnect(two_->id());
    EXPECT_EQ(one_->status(*two_).state, LinkState::absent);
    ASSERT_TRUE(run([&] { return !two_->events.losses.empty(); }));
    EXPECT_EQ(two_->events.losses[0].second, LinkEnd::closed);
    EXPECT_TRUE(one_->events.losses.empty());
    one_->connect_to(*two_);
    ASSERT_TRUE(run([&] { return two_->events.connects.size() == 2 && one_->events.connects.size() == 2; }));
    EXPECT_TRUE(two_->events.restarts.empty());
    send_pattern(*two_, *one_, Lane::prompt, 2, 10);
    ASSERT_TRUE(run([&] { return two_->events.acknowledgements.size() == 1; }));
}

TEST_F(TransportLink, AHandlerMayEndItFromAnyCall) {
    for (int where = 0; where < 5; ++where) {
        SCOPED_TRACE(where);
        connect();
        std::vector<std::byte> place(1 << 20);
        const auto leave = [&] { two_->hub->disconnect(one_->id()); };
        two_->events.on_place = [&](NodeId, const Incoming& incoming) {
            if (where == 0 && incoming.lane == Lane::prompt) leave();
            if (where == 1 && incoming.lane == Lane::bulk) leave();
            return Landing::at(place.data());
        };
        two_->events.on_frame = [&](NodeId, const Incoming& incoming, std::span<const std::byte>) {
            if (where == 2 && incoming.lane == Lane::prompt) leave();
            if (where == 3 && incoming.lane == Lane::bulk) leave();
        };
        two_->events.on_acknowledged = [&](std::uint64_t) {
            if (where == 4) leave();
        };
        for (std::uint64_t i = 1; i <= 4; ++i) {
            send_pattern(*one_, *two_, Lane::prompt, i, 100);
            send_pattern(*one_, *two_, Lane::bulk, i, place.size());
            send_pattern(*two_, *one_, Lane::prompt, i, 100);
        }
        ASSERT_TRUE(run([&] { return !one_->events.losses.empty(); }));
        EXPECT_EQ(two_->status(*one_).state, LinkState::absent);
        // Each place was either delivered or given back; a frame whose handler ended the link counts as delivered.
        EXPECT_EQ(two_->events.places, two_->events.frames.size() + two_->events.withdrawals.size());
    }
}

TEST_F(TransportLink, BothSidesMayConnectAtOnce) {
    std::mt19937 random{1};
    for (int round = 0; round < 300; ++round) {
        SCOPED_TRACE(round);
        one_ = std::make_unique<Node>(1);
        two_ = std::make_unique<Node>(2);
        // The rounds differ in who is how far when the other begins, and who gets how many turns then.
        const auto poll_some = [&] {
            for (auto turns = random() % 6; turns > 0; --turns)
                static_cast<void>((random() % 2 == 0 ? one_ : two_)->hub->poll(0));
        };
        const bool one_first = round % 2 == 0;
        (one_first ? one_ : two_)->connect_to(one_first ? *two_ : *one_);
        if (round % 3 != 0) poll_some();
        (one_first ? two_ : one_)->connect_to(one_first ? *one_ : *two_);
        for (int i = 0; i < 4; ++i) poll_some();
        send_pattern(*one_, *two_, Lane::prompt, 1, 10);
        send_pattern(*two_, *one_, Lane::bulk, 2, 100'000);
        ASSERT_TRUE(run(
            [&] { return one_->events.acknowledgements.size() == 1 && two_->events.acknowledgements.size() == 1; }));
        EXPECT_EQ(one_->events.connects.size(), 1U);
        EXPECT_EQ(two_->events.connects.size(), 1U);
        EXPECT_TRUE(one_->events.losses.empty() && two_->events.losses.empty());
        // One attempt gave way before it was done: no connection that stood was replaced.
        EXPECT_EQ(one_->status(*two_).reconnects, 0U);
        EXPECT_EQ(two_->status(*one_).reconnects, 0U);
        EXPECT_EQ(one_->events.frames.size(), 1U);
        EXPECT_EQ(two_->events.frames.size(), 1U);
    }
}

TEST_F(TransportLink, SleepsWhenNothingHappens) {
    // Time stands still, so no heartbeat is due: whatever wakes a hub now is a fault of it.
    ManualClock clock;
    connect([&](HubOptions& options) { options.clock = &clock; });
    send_pattern(*one_, *two_, Lane::prompt, 1, 10);
    send_pattern(*one_, *two_, Lane::bulk, 2, 1 << 20);
    ASSERT_TRUE(run([&] { return two_->events.frames.size() == 2; }));
    clock.advance_ms(1);
    ASSERT_TRUE(run([&] { return one_->events.acknowledgements.size() == 2; }));
    for (int i = 0; i < 200 && one_->hub->poll(0) + two_->hub->poll(0) > 0; ++i) {
    }
    const std::uint64_t before = one_->hub->wake_ups() + two_->hub->wake_ups();
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(one_->hub->poll(20), 0U);
        EXPECT_EQ(two_->hub->poll(20), 0U);
    }
    // Each poll comes back once, by its timeout; a few by a timer that was set for a time that has moved.
    EXPECT_LE(one_->hub->wake_ups() + two_->hub->wake_ups() - before, 20U);
    for (Node* const node : {one_.get(), two_.get()}) {
        pollfd descriptor{node->hub->descriptor(), POLLIN, 0};
        int ready = 0;
        for (int i = 0; i < 10; ++i)
            ready += ::poll(&descriptor, 1, 10) > 0 ? static_cast<int>(node->hub->poll(0) + 1) : 0;
        EXPECT_LE(ready, 2);
    }
}

TEST_F(TransportLink, BeatsOncePerPeriodAndNotForEverToAPeerThatDoesNotAnswer) {
    ManualClock clock;
    Node node{2, [&](HubOptions& options) { options.clock = &clock; }};
    RawCaller peer{*node.hub};
    ASSERT_EQ(peer.greet(node, introduction(3, 2)), Handshake::Progress::done);
    const auto beats_after = [&](int periods) {
        for (int i = 0; i < periods; ++i) {
            static_cast<void>(node.hub->poll(0));
            clock.advance_ms(1000);
            static_cast<void>(node.hub->poll(0));
        }
        EXPECT_TRUE(peer.listen());
        return peer.heard().size() / sizeof(RecordHeader);
    };
    EXPECT_EQ(beats_after(3), 4U);  // the first at once
    // More would fill the socket of a stopped process, and that looks like a dead machine.
    EXPECT_EQ(beats_after(30), 8U);
    EXPECT_EQ(node.hub->status(NodeId{3}).state, LinkState::up);
    EXPECT_GE(node.hub->status(NodeId{3}).silent_ns, 30'000'000'000U);
    const RecordHeader answer{WireKind::heartbeat, 0, 0, 0, 0, {}};
    peer.say(std::as_bytes(std::span{&answer, 1}));
    ASSERT_TRUE(run_until({&node}, [&] { return node.hub->status(NodeId{3}).silent_ns == 0; }));
    EXPECT_EQ(beats_after(3), 11U);
}

TEST(TransportOptions, AreCheckedAtTheDoor) {
    Recorder events;
    HubOptions good;
    good.node = NodeId{1};
    good.job_id = "unit-transport";
    ASSERT_TRUE(Hub::create(good, events));
    const auto code = [&](const std::function<void(HubOptions&)>& change) {
        HubOptions options = good;
        change(options);
        const auto hub = Hub::create(options, events);
        return hub ? Errc{} : hub.error().code;
    };
    EXPECT_EQ(code([](HubOptions& o) { o.job_id = ""; }), Errc::invalid_argument);
    EXPECT_EQ(code([](HubOptions& o) { o.job_id = std::string(41, 'x'); }), Errc::invalid_argument);
    EXPECT_EQ(code([](HubOptions& o) { o.bulk_streams = 0; }), Errc::invalid_argument);
    EXPECT_EQ(code([](HubOptions& o) { o.bulk_streams = 17; }), Errc::invalid_argument);
    EXPECT_EQ(code([](HubOptions& o) { o.bind_address = "everywhere"; }), Errc::invalid_argument);
    EXPECT_EQ(code([](HubOptions& o) { o.bind_address = "192.0.2.1"; }), Errc::system);
    const auto holder = Hub::create(good, events);
    ASSERT_TRUE(holder);
    EXPECT_TRUE((*holder)->address().starts_with("127.0.0.1:"));
}

}  // namespace
}  // namespace phoenix
