/// Connections that break while both processes live: nothing is lost, nothing comes twice, nothing leaks.

#include <cstdlib>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <random>

#include "unit/transport/cutting_proxy.hpp"
#include "unit/transport/raw_caller.hpp"

namespace phoenix {
namespace {

using namespace testing_tools;

class TransportBreaks : public Pair {
  protected:
    /// One connects to Two through a proxy.
    void connect_through(CuttingProxy::Options cuts, const std::function<void(HubOptions&)>& change = {}) {
        const auto all = [&](HubOptions& options) {
            options.retry_first_ms = 1;
            options.retry_longest_ms = 20;
            if (change) change(options);
        };
        one_ = std::make_unique<Node>(1, all);
        two_ = std::make_unique<Node>(2, all);
        proxy_ = std::make_unique<CuttingProxy>(two_->hub->address(), cuts);
        one_->connect_at(two_->id(), proxy_->address());
    }
    void expect_nobody_lost_anything() const {
        for (const Node* const node : {one_.get(), two_.get()}) {
            EXPECT_TRUE(node->events.losses.empty()) << node->events.sentences[0];
            EXPECT_TRUE(node->events.restarts.empty());
            EXPECT_EQ(node->events.connects.size(), 1U);
        }
    }

    std::unique_ptr<CuttingProxy> proxy_;
};

int scaled(int count) {
    const char* const scale = std::getenv("PHOENIX_TEST_SCALE");
    return std::max(1, static_cast<int>(count * (scale != nullptr ? std::atof(scale) : 1.0)));
}

/// Numbers and sizes of the frames of one direction.
struct Traffic {
    std::vector<std::size_t> sizes[lane_count];
    std::size_t arrived[lane_count] = {0, 0};
    std::size_t acknowledged[lane_count] = {0, 0};

    static std::uint64_t number_of(std::size_t lane, std::size_t index) { return lane * 1'000'000 + index + 1; }
    void expect_next(const Arrived& frame) {
        const auto lane = static_cast<std::size_t>(frame.lane);
        const std::size_t index = arrived[lane]++;
        ASSERT_LT(index, sizes[lane].size());
        ASSERT_TRUE(is_pattern(frame, number_of(lane, index), sizes[lane][index]))
            << "lane " << lane << ": instead of frame " << index << " came " << testing_tools::number_of(frame.head);
    }
    void expect_acknowledged(std::uint64_t cookie) {
        const std::size_t lane = cookie / 1'000'000;
        EXPECT_EQ(cookie, number_of(lane, acknowledged[lane]));
        ++acknowledged[lane];
    }
    [[nodiscard]] bool done() const { return acknowledged[0] == sizes[0].size() && acknowledged[1] == sizes[1].size(); }
};

TEST_F(TransportBreaks, EveryFrameComesOnceAndInOrderWhereverConnectionsAreCut) {
    std::uint64_t cuts = 0;
    for (std::uint32_t seed = 1; seed <= static_cast<std::uint32_t>(scaled(6)); ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        std::mt19937 random{seed};
        // Seeds differ in how long connections live: within the first records, or for some frames.
        const std::uint64_t longest = seed % 3 == 0 ? 60'000 : 400'000;
        connect_through({seed, 9'000, longest}, [](HubOptions& options) { options.piece_size_bytes = 8192; });
        Traffic traffic[2];  // from One, from Two
        for (Traffic& way : traffic)
            for (int i = 0; i < 60; ++i) {
                way.sizes[0].push_back(random() % 4000);
                way.sizes[1].push_back(random() % 10 == 0 ? random() % 400'000 : random() % 20'000);
            }
        Node* const nodes[2] = {one_.get(), two_.get()};
        ASSERT_TRUE(run([&] { return !one_->events.connects.empty() && !two_->events.connects.empty(); }));
        std::size_t sent = 0;
        const bool ended = run([&] {
            // Not all at once: connections are cut while nothing flows, too.
            for (int burst = 0; burst < 3 && sent < 60; ++burst, ++sent)
                for (std::size_t way = 0; way < 2; ++way)
                    for (std::size_t lane = 0; lane < lane_count; ++lane)
                        send_pattern(*nodes[way], *nodes[1 - way], static_cast<Lane>(lane),
                                     Traffic::number_of(lane, sent), traffic[way].sizes[lane][sent]);
            for (std::size_t way = 0; way < 2; ++way) {
                for (const Arrived& frame : std::exchange(nodes[1 - way]->events.frames, {}))
                    traffic[way].expect_next(frame);
                for (const std::uint64_t cookie : std::exchange(nodes[way]->events.acknowledgements, {}))
                    traffic[way].expect_acknowledged(cookie);
            }
            return HasFailure() || (traffic[0].done() && traffic[1].done());
        });
        ASSERT_TRUE(ended) << one_->status(*two_).unacknowledged_frames << " and "
                           << two_->status(*one_).unacknowledged_frames << " frames are stuck";
        expect_nobody_lost_anything();
        if (HasFailure()) return;
        cuts += proxy_->cuts();
    }
    EXPECT_GT(cuts, 20U);
}

TEST_F(TransportBreaks, AFrameLargerThanWhatOneConnectionLivesForArrives) {
    connect_through({3, 300'000, 900'000}, [](HubOptions& options) { options.piece_size_bytes = 65536; });
    const std::vector<std::byte> payload = pattern(1, 20 << 20);
    std::vector<std::byte> place(payload.size());
    two_->events.keep = false;
    two_->events.on_place = [&](NodeId, const Incoming&) { return Landing::at(place.data()); };
    const std::span<const std::byte> piece{payload};
    ASSERT_TRUE(one_->hub->send(two_->id(), {.lane = Lane::bulk, .pieces = std::span{&piece, 1}, .cookie = 1}));
    ASSERT_TRUE(run([&] { return !one_->events.acknowledgements.empty(); }));
    EXPECT_TRUE(place == payload);
    EXPECT_EQ(two_->events.places, 1U);
    EXPECT_TRUE(two_->events.withdrawals.empty());
    EXPECT_GT(proxy_->cuts(), 10U);
    EXPECT_GT(one_->status(*two_).reconnects, 10U);
    expect_nobody_lost_anything();
}

TEST_F(TransportBreaks, AControlConnectionIsMadeAgainAndNothingIsLost) {
    connect_through({});
    ASSERT_TRUE(run([&] { return !one_->events.connects.empty(); }));
    for (std::uint64_t round = 1; round <= 20; ++round) {
        proxy_->cut_control();
        send_pattern(*one_, *two_, Lane::prompt, round, 100);
        send_pattern(*two_, *one_, Lane::bulk, round, 200'000);
        ASSERT_TRUE(run([&] {
            return proxy_->control_is_cut() && one_->events.acknowledgements.size() == round &&
                   two_->events.acknowledgements.size() == round;
        }));
    }
    ASSERT_TRUE(run([&] { return one_->status(*two_).reconnects > 0; }));
    expect_nobody_lost_anything();
    for (std::uint64_t round = 1; round <= 20; ++round)
        EXPECT_TRUE(is_pattern(two_->events.frames[round - 1], round, 100));
}

TEST_F(TransportBreaks, ALinkWhoseConnectionsNeverLastIsLostAndBothAreTold) {
    // Enough for the handshake and a position, not for a frame.
    connect_through({1, 500, 500}, [](HubOptions& options) { options.retries_max = 5; });
    for (std::uint64_t number = 1; number <= 3; ++number) send_pattern(*one_, *two_, Lane::prompt, number, 3000);
    ASSERT_TRUE(run([&] { return !one_->events.losses.empty() && !two_->events.losses.empty(); }));
    EXPECT_EQ(one_->events.losses[0], (std::pair{NodeId{2}, LinkEnd::unstable}));
    EXPECT_EQ(two_->events.losses[0], (std::pair{NodeId{1}, LinkEnd::unstable}));
    EXPECT_TRUE(one_->events.acknowledgements.empty());
    EXPECT_EQ(one_->status(*two_).state, LinkState::absent);
    EXPECT_FALSE(one_->hub->send(two_->id(), {}).has_value());
    // And it can be made again.
    proxy_->stop_cutting();
    one_->connect_at(two_->id(), proxy_->address());
    ASSERT_TRUE(run([&] { return one_->events.connects.size() == 2; }));
    send_pattern(*one_, *two_, Lane::prompt, 9, 3000);
    ASSERT_TRUE(run([&] { return one_->events.acknowledgements.size() == 1; }));
    EXPECT_EQ(one_->events.acknowledgements[0], 9U);
}

TEST_F(TransportBreaks, WhereNobodyListensTheLinkIsGivenUpAfterItsRetries) {
    ManualClock clock;
    one_ = std::make_unique<Node>(1, [&](HubOptions& options) { options.clock = &clock; });
    two_ = std::make_unique<Node>(2);
    const std::string address = two_->hub->address();
    two_ = nullptr;
    one_->connect_at(NodeId{2}, address);
    std::uint64_t passed_ms = 0;
    while (one_->events.losses.empty() && passed_ms < 60'000) {
        static_cast<void>(one_->hub->poll(0));
        clock.advance_ms(5);
        passed_ms += 5;
    }
    ASSERT_EQ(one_->events.losses.size(), 1U);
    EXPECT_EQ(one_->events.losses[0].second, LinkEnd::unreachable);
    // 12 retries: 10 ms, doubled up to a second.
    EXPECT_GT(passed_ms, 5'000U);
    EXPECT_LT(passed_ms, 6'000U);
}

std::size_t descriptors_in_use() {
    std::size_t count = 0;
    for (int descriptor = 0; descriptor < 4096; ++descriptor) count += fcntl(descriptor, F_GETFD) >= 0 ? 1 : 0;
    return count;
}

TEST_F(TransportBreaks, ManyReconnectsLeaveNoDescriptorBehind) {
    std::size_t before = 0;
    {
        connect_through({5, 3'000, 12'000}, [](HubOptions& options) { options.piece_size_bytes = 4096; });
        std::uint64_t number = 0;
        ASSERT_TRUE(run([&] {
            if (number - one_->events.acknowledgements.size() < 4)
                send_pattern(*one_, *two_, Lane::bulk, ++number, 4000);
            return one_->status(*two_).reconnects > 20;
        }));
        proxy_->stop_cutting();
        ASSERT_TRUE(run([&] { return one_->events.acknowledgements.size() == number && proxy_->open() == 4; }));
        before = descriptors_in_use();
    }
    for (int round = 0; round < 3; ++round) {
        connect_through({6, 3'000, 12'000}, [](HubOptions& options) { options.piece_size_bytes = 4096; });
        std::uint64_t number = 0;
        ASSERT_TRUE(run([&] {
            if (number - one_->events.acknowledgements.size() < 4)
                send_pattern(*one_, *two_, Lane::bulk, ++number, 4000);
            return one_->status(*two_).reconnects > 100;
        }));
        proxy_->stop_cutting();
        ASSERT_TRUE(run([&] { return one_->events.acknowledgements.size() == number && proxy_->open() == 4; }));
        EXPECT_EQ(descriptors_in_use(), before);
        expect_nobody_lost_anything();
    }
}

TEST_F(TransportBreaks, OnlyTheControlConnectionsAreTimed) {
    connect();
    send_pattern(*one_, *two_, Lane::bulk, 1, 10);
    send_pattern(*one_, *two_, Lane::prompt, 1, 10);
    ASSERT_TRUE(run([&] { return one_->events.acknowledgements.size() == 2; }));
    int timed = 0;
    int untimed = 0;
    for (int descriptor = 0; descriptor < 4096; ++descriptor) {
        unsigned timeout = 0;
        int keepalive = 0;
        socklen_t size = sizeof timeout;
        if (getsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, &size) != 0) continue;
        ASSERT_EQ(getsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &keepalive, &size), 0);
        EXPECT_EQ(keepalive != 0, timeout != 0);
        EXPECT_TRUE(timeout == 0 || timeout == 3500);
        // Every socket closes on exec and delays no small packet; listeners send none.
        EXPECT_NE(fcntl(descriptor, F_GETFD) & FD_CLOEXEC, 0);
        EXPECT_NE(fcntl(descriptor, F_GETFL) & O_NONBLOCK, 0);
        int no_delay = 0;
        int listening = 0;
        ASSERT_EQ(getsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
        ASSERT_EQ(getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size), 0);
        EXPECT_TRUE(no_delay != 0 || listening != 0);
        if (listening == 0) (timeout != 0 ? timed : untimed) += 1;
    }
    EXPECT_EQ(timed, 2);
    EXPECT_GE(untimed, 4);
}

}  // namespace
}  // namespace phoenix
