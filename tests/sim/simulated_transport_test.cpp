/// The simulated network keeps what a transport promises, whatever the seed: users of it are judged by this.

#include "sim/simulated_transport.hpp"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>

namespace phoenix::sim {
namespace {

constexpr std::uint32_t node_count = 3;

/// A node that sends numbered frames to the others and judges what comes.
class Judge final : public TransportEvents {
  public:
    void connected(NodeId peer, SessionId session) override {
        EXPECT_NE(session.value, 0U);
        next_[peer] = {1, 1};
    }
    Landing place(NodeId, const Incoming& incoming) override {
        if (random_() % 8 == 0) {
            must_resume = true;
            return Landing::later();
        }
        if (incoming.lane == Lane::prompt) return Landing::transient();
        auto memory = std::make_unique<std::byte[]>(incoming.size + 1);
        std::byte* const address = memory.get();
        placed_[address] = std::move(memory);
        return Landing::at(address);
    }
    void frame(NodeId from, const Incoming& incoming, std::span<const std::byte> payload) override {
        std::uint64_t number = 0;
        std::memcpy(&number, incoming.head.data(), sizeof number);
        EXPECT_EQ(number, next_.at(from)[static_cast<std::size_t>(incoming.lane)]++);
        EXPECT_EQ(payload.size(), number * 7 % 500);
        for (const std::byte byte : payload) EXPECT_EQ(byte, static_cast<std::byte>(number));
        ++arrived;
        const bool was_placed = placed_.erase(const_cast<std::byte*>(payload.data())) == 1;
        EXPECT_EQ(was_placed, incoming.lane == Lane::bulk);
    }
    void withdrawn(NodeId, std::byte* address) override { EXPECT_EQ(placed_.erase(address), 1U); }
    void acknowledged(NodeId peer, std::uint64_t cookie) override {
        EXPECT_GT(cookie, last_acknowledged_[peer][cookie % 2]);
        last_acknowledged_[peer][cookie % 2] = cookie;
        ++acknowledgements;
    }
    void link_lost(NodeId peer, LinkEnd, std::string_view) override {
        ++losses;
        sent_[peer] = {};
        last_acknowledged_[peer] = {};
    }
    void peer_restarted(NodeId peer) override {
        ++restarts;
        sent_[peer] = {};
        last_acknowledged_[peer] = {};
    }
    void refused(const Refusal&) override { ADD_FAILURE(); }

    void send(Transport& transport, NodeId to, Lane lane) {
        const auto index = static_cast<std::size_t>(lane);
        const std::uint64_t number = sent_[to][index] + 1;
        const std::vector<std::byte> bytes(number * 7 % 500, static_cast<std::byte>(number));
        const std::span<const std::byte> piece{bytes};
        const auto done = transport.send(to, {.lane = lane,
                                              .head = std::as_bytes(std::span{&number, 1}),
                                              .pieces = std::span{&piece, 1},
                                              .copy = true,
                                              .cookie = number * 2 + index});
        if (done) sent_[to][index] = number;
    }

    std::uint64_t arrived{0};
    std::uint64_t acknowledgements{0};
    std::uint64_t losses{0};
    std::uint64_t restarts{0};
    bool must_resume{false};
    [[nodiscard]] std::size_t placed() const { return placed_.size(); }

  private:
    std::mt19937 random_{1};
    std::map<NodeId, std::array<std::uint64_t, 2>> next_;
    std::map<NodeId, std::array<std::uint64_t, 2>> sent_;
    std::map<NodeId, std::array<std::uint64_t, 2>> last_acknowledged_;
    std::map<std::byte*, std::unique_ptr<std::byte[]>> placed_;
};

struct Process {
    std::unique_ptr<Judge> judge = std::make_unique<Judge>();
    std::unique_ptr<SimulatedTransport> transport;
};

std::uint32_t sweep(std::uint32_t seeds) {
    const char* const scale = std::getenv("PHOENIX_TEST_SCALE");
    return std::max(1U, static_cast<std::uint32_t>(seeds * (scale != nullptr ? std::atof(scale) : 1.0)));
}

class SimulatedCluster {
  public:
    explicit SimulatedCluster(std::uint64_t seed)
        : random(seed), network({.seed = seed, .break_one_in = seed % 2 == 0 ? 0U : 10U}), processes(node_count) {
        for (std::uint32_t node = 0; node < node_count; ++node) start(node);
    }
    void start(std::uint32_t node) {
        processes[node] = {};
        processes[node].transport = network.start(NodeId{node}, *processes[node].judge);
        for (std::uint32_t peer = 0; peer < node_count; ++peer)
            EXPECT_EQ(processes[node].transport->connect(NodeId{peer}, "").has_value(), peer != node);
    }
    void settle() {
        for (bool busy = true; busy;) {
            busy = network.step();
            for (Process& process : processes) busy = poll(process) > 0 || busy;
        }
    }
    std::size_t poll(Process& process) {
        if (std::exchange(process.judge->must_resume, false))
            for (const NodeId peer : process.transport->peers()) process.transport->resume(peer);
        return process.transport->poll(0) + (process.judge->must_resume ? 1 : 0);
    }
    void random_step(bool faults) {
        const auto node = static_cast<std::uint32_t>(random() % node_count);
        const auto peer = static_cast<std::uint32_t>(random() % node_count);
        Process& process = processes[node];
        const std::uint64_t choice = random() % 200;
        if (choice < 80 && node != peer) {
            process.judge->send(*process.transport, NodeId{peer}, static_cast<Lane>(random() % 2));
        } else if (choice < 120) {
            network.step();
        } else if (choice < 195 || !faults) {
            poll(process);
        } else if (choice < 197) {
            network.kill(*process.transport);
            if (random() % 2 == 0) network.step();
            lost += process.judge->losses;
            restarted += process.judge->restarts;
            start(node);
            ++kills;
        } else if (choice < 198 && node != peer) {
            network.cut(NodeId{node}, NodeId{peer});
        } else if (node != peer) {
            network.heal(NodeId{node}, NodeId{peer});
            // No effect where the link stands.
            EXPECT_TRUE(process.transport->connect(NodeId{peer}, ""));
        }
    }

    std::mt19937_64 random;
    SimulatedNetwork network;
    std::vector<Process> processes;
    std::uint64_t kills{0};
    std::uint64_t lost{0};
    std::uint64_t restarted{0};
};

TEST(SimulatedTransport, DeliversEverythingOnceAndInOrderWhenNothingDies) {
    for (std::uint64_t seed = 1; seed <= sweep(100); ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        SimulatedCluster cluster{seed};
        cluster.settle();
        for (int step = 0; step < 1000; ++step) cluster.random_step(false);
        cluster.settle();
        for (std::uint32_t node = 0; node < node_count; ++node) {
            const Process& process = cluster.processes[node];
            for (const NodeId peer : process.transport->peers())
                EXPECT_EQ(process.transport->status(peer).unacknowledged_frames, 0U);
            EXPECT_EQ(process.transport->peers().size(), node_count - 1);
            EXPECT_EQ(process.judge->losses, 0U);
            EXPECT_GT(process.judge->arrived, 10U);
        }
        if (testing::Test::HasFailure()) return;
    }
}

TEST(SimulatedTransport, KeepsOrderAndGivesPlacesBackThroughDeathsAndCuts) {
    std::uint64_t lost = 0;
    std::uint64_t restarted = 0;
    std::uint64_t kills = 0;
    for (std::uint64_t seed = 1; seed <= sweep(200); ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        SimulatedCluster cluster{seed};
        for (int step = 0; step < 2000; ++step) cluster.random_step(true);
        for (std::uint32_t node = 1; node < node_count; ++node)
            for (std::uint32_t peer = 0; peer < node; ++peer) cluster.network.heal(NodeId{node}, NodeId{peer});
        cluster.settle();
        for (const Process& process : cluster.processes) {
            EXPECT_EQ(process.judge->placed(), 0U);
            lost += process.judge->losses;
            restarted += process.judge->restarts;
        }
        lost += cluster.lost;
        restarted += cluster.restarted;
        kills += cluster.kills;
        if (testing::Test::HasFailure()) return;
    }
    EXPECT_GT(kills, 100U);
    EXPECT_GT(lost, 20U);
    EXPECT_GT(restarted, 20U);
}

}  // namespace
}  // namespace phoenix::sim
