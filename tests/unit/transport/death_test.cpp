/// Peers that are other processes: killed, stopped, replaced.

#include <csignal>
#include <optional>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/transport/hubs.hpp"

namespace phoenix {
namespace {

using namespace testing_tools;

/// A hub as node 2 in a process of its own; it accepts whatever comes, and echoes prompt frames.
class PeerProcess {
  public:
    explicit PeerProcess(std::uint16_t port = 0, const std::function<void(HubOptions&)>& change = {}) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error{"no pipe"};
        const FileDescriptor read_end{ends[0]};
        FileDescriptor write_end{ends[1]};
        child_.emplace([&] { return serve(port, change, write_end.get()); });
        write_end = FileDescriptor{};
        char address[64] = {};
        if (read(read_end.get(), address, sizeof address - 1) <= 0) throw std::runtime_error{"the peer did not start"};
        address_ = address;
    }
    [[nodiscard]] const std::string& address() const { return address_; }
    [[nodiscard]] std::uint16_t port() const {
        return static_cast<std::uint16_t>(std::stoul(address_.substr(address_.rfind(':') + 1)));
    }
    void kill_and_reap() { EXPECT_EQ(child_->killed(), -SIGKILL); }
    void signal(int number) const { ASSERT_EQ(kill(child_->pid(), number), 0); }
    /// Stopped for certain: the signal has taken effect.
    void stop() const {
        signal(SIGSTOP);
        int status = 0;
        ASSERT_EQ(waitpid(child_->pid(), &status, WUNTRACED), child_->pid());
        ASSERT_TRUE(WIFSTOPPED(status));
    }

  private:
    static int serve(std::uint16_t port, const std::function<void(HubOptions&)>& change, int write_end) {
        // The sockets of the parent are no business of this process, and would keep its connections open.
        for (int descriptor = 3; descriptor < 1024; ++descriptor)
            if (descriptor != write_end) close(descriptor);
        Node self{2, [&](HubOptions& options) {
                      options.port = port;
                      if (change) change(options);
                  }};
        self.events.keep = false;
        self.events.on_frame = [&](NodeId from, const Incoming& incoming, std::span<const std::byte> payload) {
            if (incoming.lane != Lane::prompt) return;
            static_cast<void>(
                self.hub->send(from, {.head = incoming.head, .pieces = std::span{&payload, 1}, .copy = true}));
        };
        const std::string address = self.hub->address();
        if (write(write_end, address.data(), address.size()) < 0) return 1;
        close(write_end);
        for (;;) static_cast<void>(self.hub->poll(-1));
    }

    std::optional<ChildProcess> child_;
    std::string address_;
};

class TransportDeath : public testing::Test {
  protected:
    void connect_to(const PeerProcess& peer) {
        one_.connect_at(NodeId{2}, peer.address());
        const std::size_t before = one_.events.connects.size();
        ASSERT_TRUE(run([&] { return one_.events.connects.size() > before; }));
    }
    void send(Lane lane, std::uint64_t number, std::span<const std::byte> payload) const {
        ASSERT_TRUE(one_.hub->send(NodeId{2}, {.lane = lane,
                                               .head = std::as_bytes(std::span{&number, 1}),
                                               .pieces = std::span{&payload, 1},
                                               .cookie = number}));
    }
    bool run(const std::function<bool()>& done) { return run_until({&one_}, done); }

    std::vector<std::byte> payload_ = pattern(1, 4 << 20);  // before the hub, which sends from it
    Node one_{1};
};

TEST_F(TransportDeath, AKilledPeerIsSeenWhileNothingIsUnderWay) {
    PeerProcess peer;
    connect_to(peer);
    send(Lane::prompt, 1, {});
    ASSERT_TRUE(run([&] { return one_.events.acknowledgements.size() == 1 && one_.events.frames.size() == 1; }));
    peer.kill_and_reap();
    ASSERT_TRUE(run([&] { return !one_.events.losses.empty(); }));
    EXPECT_EQ(one_.events.losses[0], (std::pair{NodeId{2}, LinkEnd::died}));
    EXPECT_TRUE(one_.events.restarts.empty());
}

TEST_F(TransportDeath, AKilledPeerIsSeenInTheMiddleOfAFlood) {
    for (int round = 0; round < 5; ++round) {
        one_.events.losses.clear();
        one_.events.acknowledgements.clear();
        PeerProcess peer;
        connect_to(peer);
        std::uint64_t number = 0;
        const auto keep_full = [&] {
            while (one_.hub->writable(NodeId{2})) send(Lane::bulk, ++number, payload_);
            return one_.events.acknowledgements.size() > 4U + static_cast<unsigned>(round);
        };
        ASSERT_TRUE(run(keep_full));
        peer.kill_and_reap();
        ASSERT_TRUE(run([&] { return !one_.events.losses.empty(); }));
        EXPECT_EQ(one_.events.losses[0].second, LinkEnd::died);
        EXPECT_LT(one_.events.acknowledgements.size(), number);
        EXPECT_EQ(one_.hub->status(NodeId{2}).unacknowledged_bytes, 0U);
    }
}

TEST_F(TransportDeath, APeerThatIsStoppedUnderAFloodIsNotGivenUp) {
    // Time-outs a seventh of the usual ones, so that several of them pass while the peer is stopped.
    const auto impatient = [](HubOptions& options) {
        options.peer_timeout_ms = 500;
        options.heartbeat_period_ms = 100;
        options.unacknowledged_soft_bytes = 48ULL << 20;
    };
    Node one{1, impatient};
    PeerProcess peer{0, impatient};
    one.connect_at(NodeId{2}, peer.address());
    ASSERT_TRUE(run_until({&one}, [&] { return !one.events.connects.empty(); }));
    std::uint64_t number = 0;
    const auto keep_full = [&] {
        while (one.hub->writable(NodeId{2})) {
            const std::span<const std::byte> bulk{payload_};
            const std::span<const std::byte> prompt = bulk.first(60'000);
            ASSERT_TRUE(
                one.hub->send(NodeId{2}, {.lane = Lane::bulk, .pieces = std::span{&bulk, 1}, .cookie = ++number}));
            for (int i = 0; i < 20; ++i)
                ASSERT_TRUE(one.hub->send(NodeId{2}, {.pieces = std::span{&prompt, 1}, .cookie = ++number}));
        }
    };
    ASSERT_TRUE(run_until({&one}, [&] {
        keep_full();
        return one.events.acknowledgements.size() > 50;
    }));
    peer.stop();
    const std::uint64_t end = boot_time_ns() + 4'000'000'000ULL;
    ASSERT_TRUE(run_until({&one}, [&] {
        keep_full();
        return boot_time_ns() > end || !one.events.losses.empty();
    }));
    EXPECT_TRUE(one.events.losses.empty()) << one.events.sentences[0];
    EXPECT_FALSE(one.hub->writable(NodeId{2}));
    EXPECT_EQ(one.hub->status(NodeId{2}).reconnects, 0U);
    EXPECT_GE(one.hub->status(NodeId{2}).silent_ns, 3'000'000'000ULL);
    peer.signal(SIGCONT);
    ASSERT_TRUE(run_until({&one}, [&] { return one.events.acknowledgements.size() == number; }));
    EXPECT_TRUE(one.events.losses.empty());
    EXPECT_EQ(one.events.connects.size(), 1U);
}

TEST_F(TransportDeath, ANewProcessAtTheOldAddressIsARestartAndGetsNothingOfTheOldOne) {
    std::optional<PeerProcess> peer{std::in_place};
    connect_to(*peer);
    send(Lane::prompt, 1, {});
    ASSERT_TRUE(run([&] { return one_.events.frames.size() == 1; }));
    peer->stop();
    // Sent to the process that will not read it.
    for (std::uint64_t number = 2; number <= 9; ++number) send(Lane::prompt, number, {});
    send(Lane::bulk, 10, payload_);
    one_.hub->flush();
    const std::uint16_t port = peer->port();
    peer->kill_and_reap();
    peer.reset();
    one_.events.frames.clear();
    one_.events.acknowledgements.clear();
    // The owner sends again what it has kept, from within the notice.
    one_.events.on_restart = [&] { send(Lane::prompt, 100, {}); };
    const PeerProcess successor{port};
    ASSERT_TRUE(run([&] { return one_.events.frames.size() == 1; }));
    EXPECT_EQ(one_.events.restarts, std::vector<NodeId>{NodeId{2}});
    ASSERT_EQ(one_.events.connects.size(), 2U);
    EXPECT_NE(one_.events.connects[0].second, one_.events.connects[1].second);
    EXPECT_TRUE(one_.events.losses.empty());
    EXPECT_EQ(number_of(one_.events.frames[0].head), 100U);
    ASSERT_TRUE(run([&] { return !one_.events.acknowledgements.empty(); }));
    EXPECT_EQ(one_.events.acknowledgements, std::vector<std::uint64_t>{100});
}

TEST_F(TransportDeath, APeerThatComesBackFirstFindsTheOldLinkReplaced) {
    // Two processes of node 2 in turn call this one; the old link still looks well when the second calls.
    const std::string address = one_.hub->address();
    std::optional<Node> first{std::in_place, 2};
    first->connect_to(one_);
    send_pattern(*first, one_, Lane::prompt, 1, 10);
    ASSERT_TRUE(run_until({&one_, &*first}, [&] { return first->events.acknowledgements.size() == 1; }));
    std::vector<std::byte> place(64);
    one_.events.on_place = [&](NodeId, const Incoming& incoming) {
        return incoming.lane == Lane::bulk ? Landing::at(place.data()) : Landing::transient();
    };
    send(Lane::prompt, 7, {});
    Node second{2};
    second.connect_to(one_);
    // The first one is not polled: it cannot say goodbye.
    ASSERT_TRUE(run_until({&one_, &second}, [&] { return one_.events.connects.size() == 2; }));
    EXPECT_EQ(one_.events.restarts.size(), 1U);
    EXPECT_EQ(one_.events.connects[1].second, second.hub->session());
    send_pattern(second, one_, Lane::prompt, 2, 10);
    ASSERT_TRUE(run_until({&one_, &second}, [&] { return second.events.acknowledgements.size() == 1; }));
    EXPECT_TRUE(second.events.frames.empty());
    // The first one learns that it was replaced, and by whom it was refused does not matter to the second.
    EXPECT_TRUE(one_.events.losses.empty());
}

TEST_F(TransportDeath, WhatWasPlacedComesBackWhenThePeerDies) {
    PeerProcess peer;
    connect_to(peer);
    // A peer that sends half a frame: node 3 in this process, whose hub is destroyed in the middle.
    std::vector<std::byte> place(32 << 20);
    one_.events.keep = false;
    bool arrived = false;
    one_.events.on_place = [&](NodeId, const Incoming&) { return Landing::at(place.data()); };
    one_.events.on_frame = [&](NodeId, const Incoming&, std::span<const std::byte>) { arrived = true; };
    {
        Node three{3};
        three.connect_to(one_);
        send_pattern(three, one_, Lane::bulk, 1, place.size());
        ASSERT_TRUE(run_until({&one_, &three}, [&] { return one_.events.places == 1; }));
    }
    ASSERT_TRUE(run([&] { return !one_.events.losses.empty(); }));
    EXPECT_EQ(one_.events.losses[0], (std::pair{NodeId{3}, LinkEnd::closed}));
    EXPECT_TRUE(arrived || one_.events.withdrawals == std::vector<std::byte*>{place.data()});
    EXPECT_EQ(one_.hub->status(NodeId{2}).state, LinkState::up);
}

}  // namespace
}  // namespace phoenix
