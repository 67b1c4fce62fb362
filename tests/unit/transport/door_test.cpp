/// Who calls at a hub's door: turned away with a reason, in bounded time and memory, while a good link goes on.

#include <algorithm>
#include <cstddef>
#include <fcntl.h>
#include <random>
#include <sys/resource.h>
#include <unistd.h>

#include "unit/transport/raw_caller.hpp"

namespace phoenix {
namespace {

using namespace testing_tools;

class TransportDoor : public Pair {
  protected:
    /// The link of the fixture brings a frame each way.
    void expect_good_link() {
        const std::uint64_t number = ++round_;
        send_pattern(*one_, *two_, Lane::prompt, number, 100);
        send_pattern(*two_, *one_, Lane::bulk, number, 70'000);
        ASSERT_TRUE(run([&] {
            return one_->events.acknowledgements.size() == number && two_->events.acknowledgements.size() == number;
        }));
        EXPECT_TRUE(is_pattern(two_->events.frames.back(), number, 100));
        EXPECT_TRUE(one_->events.losses.empty() && two_->events.losses.empty());
        EXPECT_EQ(two_->events.connects.size(), 1U);
    }
    bool run_until_refused(RefusalReason reason) {
        return run([&] { return two_->events.saw_refusal(reason, false); });
    }
    std::uint64_t round_{0};
};

TEST_F(TransportDoor, TellsTwoHubsThatDoNotBelongTogetherWhy) {
    struct Case {
        RefusalReason reason;
        std::function<void(HubOptions&)> change;
    };
    const std::vector<Case> cases{
        {RefusalReason::secret, [](HubOptions& options) { options.secret = secret_of(2); }},
        {RefusalReason::job, [](HubOptions& options) { options.job_id = "another"; }},
        {RefusalReason::node, [](HubOptions& options) { options.node = NodeId{3}; }},
    };
    for (const Case& what : cases) {
        SCOPED_TRACE(name_of(what.reason));
        one_ = std::make_unique<Node>(1);
        two_ = std::make_unique<Node>(2, what.change);
        one_->connect_at(NodeId{2}, two_->hub->address());
        ASSERT_TRUE(run([&] { return !one_->events.losses.empty(); }));
        EXPECT_EQ(one_->events.losses[0], (std::pair{NodeId{2}, LinkEnd::refused}));
        ASSERT_TRUE(run_until_refused(what.reason));
        EXPECT_TRUE(one_->events.saw_refusal(what.reason, true));
        EXPECT_EQ(two_->events.refusals[0].claimed, NodeId{1});
        EXPECT_TRUE(two_->events.connects.empty());
        EXPECT_TRUE(two_->events.losses.empty());
    }
}

TEST_F(TransportDoor, TurnsAwayWhoSpeaksAnotherVersionOrNoneOfIt) {
    connect();
    std::vector<std::byte> other = hello_bytes(introduction(3, 2));
    other[offsetof(MessagePrefix, version)] = std::byte{99};
    std::vector<std::byte> longer = hello_bytes(introduction(3, 2));
    longer[offsetof(MessagePrefix, length) + 2] = std::byte{1};  // 64 KiB more
    const std::string_view http = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const std::vector<std::byte> text(std::as_bytes(std::span{http}).begin(), std::as_bytes(std::span{http}).end());
    const std::vector<std::byte> flood(1 << 20, std::byte{0x5A});
    for (const auto& [bytes, reason] :
         {std::pair{other, RefusalReason::version}, std::pair{longer, RefusalReason::malformed},
          std::pair{text, RefusalReason::malformed}, std::pair{flood, RefusalReason::malformed}}) {
        two_->events.refusals.clear();
        RawCaller caller{*two_->hub};
        caller.say(bytes);
        ASSERT_TRUE(run_until_refused(reason));
        ASSERT_TRUE(run([&] { return !caller.listen() || caller.refusal().has_value(); }));
        // A flood may be cut off before the refusal is read.
        EXPECT_TRUE(bytes.size() > 1000 || caller.refusal() == reason);
        EXPECT_LE(caller.heard().size(), sizeof(MessagePrefix));
    }
    expect_good_link();
}

TEST_F(TransportDoor, ARecordedHandshakeOpensNothing) {
    connect();
    // What a good caller says, taken down by somebody who listens in.
    std::vector<std::byte> recorded;
    {
        RawCaller good{*two_->hub};
        ASSERT_EQ(good.greet(*two_, introduction(3, 2)), Handshake::Progress::done);
        ASSERT_TRUE(run([&] { return two_->events.connects.size() == 2; }));
        Nonce nonce;
        nonce.fill(1);
        Handshake handshake = Handshake::initiate("unit-transport", secret_of(1), introduction(3, 2), nonce);
        RawCaller again{*two_->hub};
        recorded = handshake.take_output();
        again.say(recorded);
        ASSERT_TRUE(run([&] { return again.listen() && again.heard().size() == sizeof(IntroductionMessage); }));
        static_cast<void>(handshake.feed(std::span{again.heard()}.first(sizeof(MessagePrefix))));
        static_cast<void>(handshake.feed(std::span{again.heard()}.subspan(sizeof(MessagePrefix))));
        const std::vector<std::byte> proof = handshake.take_output();
        recorded.insert(recorded.end(), proof.begin(), proof.end());
    }
    ASSERT_TRUE(run([&] { return two_->events.saw_refusal(RefusalReason::truncated, false); }));
    const std::size_t connects = two_->events.connects.size();
    RawCaller thief{*two_->hub};
    thief.say(recorded);
    ASSERT_TRUE(run_until_refused(RefusalReason::secret));
    ASSERT_TRUE(run([&] { return !thief.listen() || thief.refusal().has_value(); }));
    EXPECT_EQ(thief.refusal(), RefusalReason::secret);
    EXPECT_EQ(two_->events.connects.size(), connects);
}

TEST_F(TransportDoor, ACallerThatHangsUpIsForgotten) {
    connect();
    const std::vector<std::byte> hello = hello_bytes(introduction(3, 2));
    for (const std::size_t size : {0UL, 1UL, 15UL, 16UL, 127UL, 128UL}) {
        two_->events.refusals.clear();
        RawCaller caller{*two_->hub};
        caller.say(std::span{hello}.first(size));
        for (int i = 0; i < 5; ++i) static_cast<void>(two_->hub->poll(1));
        caller.hang_up();
        ASSERT_TRUE(run_until_refused(RefusalReason::truncated)) << size;
    }
    EXPECT_TRUE(two_->hub->peers() == std::vector<NodeId>{one_->id()});
}

TEST_F(TransportDoor, ASilentOrSlowCallerIsDroppedAtTheDeadline) {
    ManualClock clock;
    connect([&](HubOptions& options) { options.clock = &clock; });
    RawCaller silent{*two_->hub};
    RawCaller slow{*two_->hub};
    const std::vector<std::byte> hello = hello_bytes(introduction(3, 2));
    // A byte every 100 ms would take 12.8 s for the hello alone.
    for (std::size_t at = 0; at < 60; ++at) {
        slow.say(std::span{hello}.subspan(at, 1));
        clock.advance_ms(100);
        for (int i = 0; i < 3; ++i) static_cast<void>(two_->hub->poll(0) + one_->hub->poll(0));
        const auto late = std::count_if(two_->events.refusals.begin(), two_->events.refusals.end(),
                                        [](const Refusal& refusal) { return refusal.reason == RefusalReason::late; });
        // 5 s: not much earlier, whatever was said meanwhile, and not later.
        ASSERT_TRUE(at >= 45 || late == 0) << at;
        ASSERT_TRUE(at <= 52 || late == 2) << at;
    }
    ASSERT_TRUE(run([&] { return !slow.listen() || slow.refusal().has_value(); }));
    EXPECT_EQ(slow.refusal(), RefusalReason::late);
    EXPECT_TRUE(one_->events.losses.empty() && two_->events.losses.empty());
}

std::size_t open_descriptors() {
    std::size_t count = 0;
    for (int descriptor = 0; descriptor < 4096; ++descriptor) count += fcntl(descriptor, F_GETFD) >= 0 ? 1 : 0;
    return count;
}

TEST_F(TransportDoor, OnlySoManyCallersWaitAtOnceAndAGoodOneStillGetsIn) {
    connect([](HubOptions& options) { options.unauthenticated_max = 8; });
    expect_good_link();  // its data connections stand
    const std::size_t before = open_descriptors();
    std::vector<std::unique_ptr<RawCaller>> crowd;
    for (int i = 0; i < 100; ++i) {
        crowd.push_back(std::make_unique<RawCaller>(*two_->hub));
        for (int turn = 0; turn < 2; ++turn) static_cast<void>(two_->hub->poll(0));
    }
    ASSERT_TRUE(run([&] {
        return std::count_if(two_->events.refusals.begin(), two_->events.refusals.end(),
                             [](const Refusal& refusal) { return refusal.reason == RefusalReason::crowded; }) == 92;
    }));
    EXPECT_EQ(open_descriptors() - before, 100U + 8U);
    RawCaller good{*two_->hub};
    EXPECT_EQ(good.greet(*two_, introduction(3, 2)), Handshake::Progress::done);
    send_pattern(*one_, *two_, Lane::prompt, 2, 100);
    EXPECT_TRUE(run([&] { return one_->events.acknowledgements.size() == 2; }));
}

TEST_F(TransportDoor, OutOfDescriptorsItWaitsAndTakesTheCallerLater) {
    ManualClock clock;
    connect([&](HubOptions& options) { options.clock = &clock; });
    for (const Lane lane : {Lane::prompt, Lane::bulk}) send_pattern(*one_, *two_, lane, 1, 2 << 15);
    ASSERT_TRUE(run([&] { return two_->events.frames.size() == 2; }));  // all its connections stand
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    RawCaller caller{*two_->hub};
    const FileDescriptor next{dup(0)};  // the lowest number that is free
    rlimit none = before;
    none.rlim_cur = static_cast<rlim_t>(next.get());
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    const std::uint64_t wake_ups = two_->hub->wake_ups();
    std::size_t handled = 0;
    for (int i = 0; i < 50; ++i) handled += two_->hub->poll(1);
    EXPECT_LE(handled, 8U);
    EXPECT_GE(two_->hub->wake_ups() - wake_ups, 50U);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    clock.advance_ms(150);
    EXPECT_EQ(caller.greet(*two_, introduction(3, 2)), Handshake::Progress::done);
}

TEST_F(TransportDoor, RefusesDataConnectionsOfNoLink) {
    connect();
    RawCaller early{*two_->hub};
    EXPECT_EQ(early.greet(*two_, introduction(3, 2, ConnectionKind::data, 0)), Handshake::Progress::refused);
    EXPECT_TRUE(two_->events.saw_refusal(RefusalReason::stale, false));
    RawCaller control{*two_->hub};
    ASSERT_EQ(control.greet(*two_, introduction(3, 2)), Handshake::Progress::done);
    two_->events.refusals.clear();
    Introduction other = introduction(3, 2, ConnectionKind::data, 0);
    other.life = 2;
    RawCaller stale{*two_->hub};
    EXPECT_EQ(stale.greet(*two_, other), Handshake::Progress::refused);
    RawCaller beyond{*two_->hub};
    EXPECT_EQ(beyond.greet(*two_, introduction(3, 2, ConnectionKind::data, 3)), Handshake::Progress::refused);
    RawCaller good{*two_->hub};
    EXPECT_EQ(good.greet(*two_, introduction(3, 2, ConnectionKind::data, 2)), Handshake::Progress::done);
}

/// 0 .. below - 1.
std::uint32_t draw(std::mt19937& random, std::size_t below) { return static_cast<std::uint32_t>(random() % below); }

std::vector<std::byte> random_bytes(std::mt19937& random, std::size_t most) {
    std::vector<std::byte> bytes(draw(random, most));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    return bytes;
}

void mutate(std::mt19937& random, std::vector<std::byte>& bytes) {
    for (std::uint32_t i = 0, count = draw(random, 5); i < count && !bytes.empty(); ++i)
        bytes[draw(random, bytes.size())] = static_cast<std::byte>(random());
    if (draw(random, 4) == 0) bytes.resize(draw(random, (bytes.size() + 1)));
    if (draw(random, 8) == 0) {
        const std::vector<std::byte> more = random_bytes(random, 3000);
        bytes.insert(bytes.end(), more.begin(), more.end());
    }
}

TEST_F(TransportDoor, RandomAndMutatedBytesDoNotDisturbAGoodLink) {
    connect();
    std::mt19937 random{20261126};
    std::vector<std::unique_ptr<RawCaller>> callers;
    for (int round = 0; round < 600; ++round) {
        SCOPED_TRACE(round);
        callers.push_back(std::make_unique<RawCaller>(*two_->hub));
        std::vector<std::byte> bytes =
            round % 3 == 0
                ? random_bytes(random, 1000)
                : hello_bytes(introduction(1 + draw(random, 3), 2, static_cast<ConnectionKind>(1 + draw(random, 2)),
                                           static_cast<std::uint8_t>(draw(random, 4))));
        if (round % 3 == 1) mutate(random, bytes);
        callers.back()->say(bytes);
        static_cast<void>(two_->hub->poll(0));
        if (draw(random, 2) == 0) callers.back()->say(random_bytes(random, 200));
        if (draw(random, 2) == 0) callers[draw(random, callers.size())]->hang_up();
        if (callers.size() > 40) callers.erase(callers.begin(), callers.begin() + 20);
        if (round % 10 == 0) expect_good_link();
        if (HasFatalFailure() || HasFailure()) return;
    }
    callers.clear();
    expect_good_link();
    EXPECT_EQ(two_->hub->peers(), std::vector<NodeId>{one_->id()});
}

/// Records and pieces as a peer might send them, some of them right.
std::vector<std::byte> record_bytes(std::mt19937& random, bool piece) {
    std::vector<std::byte> bytes;
    const auto add = [&](const auto& header) {
        const auto view = std::as_bytes(std::span{&header, 1});
        bytes.insert(bytes.end(), view.begin(), view.end());
    };
    for (std::uint64_t number = 1, count = draw(random, 6); number <= count; ++number) {
        if (piece) {
            PieceHeader header{};
            header.kind = number == 1 ? WireKind::position : WireKind::piece;
            header.length = draw(random, 2000);
            header.number = number - 1;
            header.frame = 1 + draw(random, 3);
            header.size = header.length + draw(random, 2) * 100;
            add(header);
            if (number > 1) bytes.resize(bytes.size() + header.length);
        } else {
            RecordHeader header{};
            header.kind = number == 1 ? WireKind::position : static_cast<WireKind>(1 + draw(random, 6));
            header.payload_size = header.kind == WireKind::frame ? draw(random, 2000) : 0;
            header.number = number - 1;
            add(header);
            bytes.resize(bytes.size() + header.payload_size);
        }
    }
    mutate(random, bytes);
    return bytes;
}

TEST_F(TransportDoor, APeerThatTalksNonsenseLosesItsOwnLinkOnly) {
    connect();
    std::mt19937 random{7};
    std::uint64_t violations = 0;
    for (int round = 0; round < 150; ++round) {
        SCOPED_TRACE(round);
        RawCaller control{*two_->hub};
        Introduction own = introduction(3, 2);
        own.life = static_cast<std::uint64_t>(round) + 1;
        ASSERT_EQ(control.greet(*two_, own), Handshake::Progress::done);
        const auto stream = static_cast<std::uint8_t>(draw(random, 3));
        Introduction data = own;
        data.connection = ConnectionKind::data;
        data.stream = stream;
        RawCaller talker{*two_->hub};
        ASSERT_EQ(talker.greet(*two_, data), Handshake::Progress::done);
        static_cast<void>(two_->hub->send(NodeId{3}, {.cookie = 1}));
        if (round % 4 == 0)
            control.say(record_bytes(random, false));
        else
            talker.say(record_bytes(random, stream > 0));
        for (int i = 0; i < 4; ++i) static_cast<void>(two_->hub->poll(0));
        if (round % 10 == 0) {
            const auto lost = two_->events.losses;
            violations += static_cast<std::uint64_t>(std::count_if(
                lost.begin(), lost.end(), [](const auto& loss) { return loss.second == LinkEnd::violated; }));
            for (const auto& [peer, reason] : lost) EXPECT_EQ(peer, NodeId{3});
            two_->events.losses.clear();
            two_->events.frames.clear();
            const std::uint64_t number = ++round_;
            send_pattern(*one_, *two_, Lane::prompt, number, 100);
            ASSERT_TRUE(run([&] { return one_->events.acknowledgements.size() == number; }));
        }
        if (HasFailure()) return;
    }
    EXPECT_GT(violations, 5U);
    EXPECT_TRUE(one_->events.losses.empty());
}

}  // namespace
}  // namespace phoenix
