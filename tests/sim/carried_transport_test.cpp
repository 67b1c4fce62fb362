/// Large frames go by a carrier that fails in every way there is; none is lost, doubled or damaged, and no memory is
/// written to that was given back.

#include "transport/carried_transport.hpp"
#include "sim/simulated_carrier.hpp"
#include "sim/simulated_transport.hpp"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>

namespace phoenix::sim {
namespace {

constexpr std::uint32_t node_count = 3;
constexpr std::uint64_t carried_from = 100;

std::vector<std::byte> payload_of(std::uint64_t number) {
    std::vector<std::byte> bytes(1 + number * 37 % 400);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(number + i * 7);
    return bytes;
}

/// A node that sends numbered frames and judges what comes.
class Judge final : public TransportEvents {
  public:
    void connected(NodeId peer, SessionId) override {
        seen_[peer].clear();
        up.insert(peer);
    }
    Landing place(NodeId, const Incoming& incoming) override {
        const std::uint64_t choice = random_() % 8;
        if (choice == 0) {
            must_resume = true;
            return Landing::later();
        }
        if (choice == 1) return Landing::transient();
        auto memory = std::make_unique<std::byte[]>(incoming.size + 1);
        std::byte* const address = memory.get();
        lent_[address] = std::move(memory);
        if (choice > 4 || incoming.lane == Lane::prompt || incoming.size == 0) return Landing::at(address);
        const std::span all{address, incoming.size};
        const std::size_t first = 1 + random_() % incoming.size;
        scattered_[address] = incoming.size;
        return Landing::scattered(std::array{all.first(first), all.subspan(first)});
    }
    void frame(NodeId from, const Incoming& incoming, std::span<const std::byte> payload) override {
        std::uint64_t number = 0;
        std::memcpy(&number, incoming.head.data(), sizeof number);
        EXPECT_TRUE(seen_[from].insert(number).second) << "frame " << number << " came twice";
        // Of a scattered one frame() sees the first part.
        if (const auto whole = scattered_.find(const_cast<std::byte*>(payload.data())); whole != scattered_.end())
            payload = {payload.data(), whole->second};
        EXPECT_TRUE(std::ranges::equal(payload, payload_of(number))) << "frame " << number << " is damaged";
        if (const auto found = lent_.find(const_cast<std::byte*>(payload.data())); found != lent_.end())
            give_back(found);
    }
    void withdrawn(NodeId, std::byte* address) override {
        const auto found = lent_.find(address);
        ASSERT_NE(found, lent_.end());
        give_back(found);
    }
    void acknowledged(NodeId peer, std::uint64_t cookie) override { EXPECT_EQ(sent_[peer].erase(cookie), 1U); }
    void link_lost(NodeId peer, LinkEnd reason, std::string_view) override {
        EXPECT_NE(reason, LinkEnd::violated);
        if (reason == LinkEnd::damaged) ++damaged;
        drop(peer);
    }
    void peer_restarted(NodeId peer) override { drop(peer); }
    void refused(const Refusal&) override { ADD_FAILURE(); }

    void send(Transport& transport, NodeId to, Lane lane, bool copy) {
        if (up.count(to) == 0) return;
        const std::uint64_t number = ++last_;
        auto bytes = std::make_unique<std::vector<std::byte>>(payload_of(number));
        const std::span<const std::byte> whole{*bytes};
        const std::array pieces{whole.first(whole.size() / 3), whole.subspan(whole.size() / 3)};
        const auto done = transport.send(to, {.type = 3,
                                              .lane = lane,
                                              .head = std::as_bytes(std::span{&number, 1}),
                                              .pieces = pieces,
                                              .copy = copy,
                                              .checked = lane == Lane::bulk,
                                              .cookie = number});
        if (!done) return;
        ever_sent_[to].insert(number);
        sent_[to][number] = copy ? nullptr : std::move(bytes);
    }
    [[nodiscard]] bool all_accepted(NodeId peer) const {
        const auto found = sent_.find(peer);
        return found == sent_.end() || found->second.empty();
    }
    [[nodiscard]] bool has_back(std::byte* at) const { return back_.count(at) != 0; }
    [[nodiscard]] const std::set<std::uint64_t>& seen(NodeId from) { return seen_[from]; }
    [[nodiscard]] const std::set<std::uint64_t>& ever_sent(NodeId to) { return ever_sent_[to]; }
    bool must_resume{false};
    std::set<NodeId> up;
    std::uint64_t damaged{0};

  private:
    using Memory = std::map<std::byte*, std::unique_ptr<std::byte[]>>;
    /// Kept, so that whoever writes to it is caught.
    void give_back(Memory::iterator memory) {
        scattered_.erase(memory->first);
        back_.insert(lent_.extract(memory));
    }
    void drop(NodeId peer) {
        // The simulated network may read it yet.
        for (auto& [number, bytes] : sent_[peer]) dropped_.push_back(std::move(bytes));
        sent_[peer].clear();
        ever_sent_[peer].clear();
        up.erase(peer);
    }
    std::mt19937 random_{1};
    std::uint64_t last_{0};
    std::map<NodeId, std::set<std::uint64_t>> seen_;
    std::map<NodeId, std::set<std::uint64_t>> ever_sent_;  ///< Since the link stands.
    std::map<NodeId, std::map<std::uint64_t, std::unique_ptr<std::vector<std::byte>>>> sent_;
    std::vector<std::unique_ptr<std::vector<std::byte>>> dropped_;
    std::map<std::byte*, std::uint64_t> scattered_;  ///< Of these, their sizes.
    Memory lent_;
    Memory back_;
};

struct Process {
    std::unique_ptr<Judge> judge = std::make_unique<Judge>();
    SimulatedTransport* base{nullptr};
    SimulatedCarrier* carrier{nullptr};
    std::unique_ptr<CarriedTransport> transport;
};

class CarriedCluster {
  public:
    explicit CarriedCluster(std::uint64_t seed, bool with_failures)
        : random(seed),
          carrier_fails(with_failures),
          network({.seed = seed, .break_one_in = seed % 2 == 0 ? 0U : 10U}),
          world(seed),
          processes(node_count) {
        world.damage_one_in = carrier_fails && seed % 5 == 0 ? 20 : 0;
        world.fail_one_in = carrier_fails && seed % 3 == 0 ? 10 : 0;
        world.on_write = [this](std::uint32_t rank, std::byte* at) {
            for (const Process& process : processes)
                if (process.carrier != nullptr && process.carrier->rank() == rank) {
                    EXPECT_FALSE(process.judge->has_back(at)) << "memory is written to that was given back";
                }
        };
        for (std::uint32_t node = 0; node < node_count; ++node) start(node);
    }
    void start(std::uint32_t node) {
        Process& process = processes[node];
        process.transport.reset();
        // What it has sent may be read from its memory yet.
        if (process.base != nullptr) dead.push_back(std::move(process.judge));
        process = {};
        auto carrier = world.start();
        process.carrier = carrier.get();
        process.carrier->up = random() % 4 != 0;
        CarrierOptions options;
        options.size_min = carried_from;
        options.pause_ns = 2'000'000'000;
        options.now_ns = [this] { return network.now_ns() + idle_ns; };
        process.transport = std::make_unique<CarriedTransport>(std::move(carrier), *process.judge, options);
        auto base = network.start(NodeId{node}, process.transport->of_base());
        process.base = base.get();
        process.transport->use(std::move(base));
        for (std::uint32_t peer = 0; peer < node_count; ++peer)
            EXPECT_EQ(process.transport->connect(NodeId{peer}, "").has_value(), peer != node);
    }
    std::size_t poll(Process& process) {
        if (std::exchange(process.judge->must_resume, false))
            for (const NodeId peer : process.transport->peers()) process.transport->resume(peer);
        return process.transport->poll(0) + (process.judge->must_resume ? 1 : 0);
    }
    void settle() {
        // Deadlines of some seconds pass when nothing else happens.
        for (int idle = 0; idle < 60; ++idle) {
            for (bool busy = true; busy;) {
                busy = network.step();
                busy = world.step() || busy;
                for (Process& process : processes) busy = poll(process) > 0 || busy;
            }
            idle_ns += 1'000'000'000;
        }
    }
    void random_step(bool faults) {
        const auto node = static_cast<std::uint32_t>(random() % node_count);
        const auto peer = static_cast<std::uint32_t>(random() % node_count);
        Process& process = processes[node];
        const std::uint64_t choice = random() % 400;
        if (choice < 120 && node != peer) {
            process.judge->send(*process.transport, NodeId{peer}, random() % 4 == 0 ? Lane::prompt : Lane::bulk,
                                random() % 2 == 0);
        } else if (choice < 200) {
            for (int turn = 0; turn < 12; ++turn) {
                network.step();
                if (turn % 4 == 0) (void)poll(processes[random() % node_count]);
            }
        } else if (choice < 280) {
            for (int turn = 0; turn < 6; ++turn) world.step();
        } else if (choice < 380) {
            poll(process);
        } else if (choice < 384) {
            process.carrier->up = true;  // place() comes, and stays
        } else if (choice < 388) {
            process.transport->allow(NodeId{peer}, random() % 2 != 0);
        } else if (choice < 390 && faults && node != peer) {
            network.cut(NodeId{node}, NodeId{peer});
            cuts.emplace_back(node, peer);
        } else if (choice < 391) {
            heal();
        } else if (choice < 392 && faults && random() % 4 == 0) {
            network.kill(*process.base);
            if (random() % 2 == 0) network.step();
            start(node);
        } else if (choice < 394 && carrier_fails && random() % 16 == 0) {
            process.carrier->stuck = true;
        } else if (choice < 396 && carrier_fails && node != peer && random() % 8 == 0) {
            world.silence(process.carrier->rank(), processes[peer].carrier->rank());
        } else if (choice >= 398) {
            idle_ns += 500'000'000;
        } else if (choice == 397 && !faults) {
            heal();  // links that damage has ended
        }
    }
    [[nodiscard]] std::uint64_t damaged() const {
        std::uint64_t sum = 0;
        for (const Process& process : processes) sum += process.judge->damaged;
        return sum;
    }
    void heal() {
        for (const auto& [left, right] : std::exchange(cuts, {})) network.heal(NodeId{left}, NodeId{right});
        for (Process& process : processes) (void)poll(process);
        // Whoever has lost a link calls again, as ports do.
        for (std::uint32_t node = 0; node < node_count; ++node)
            for (std::uint32_t peer = node + 1; peer < node_count; ++peer)
                (void)processes[node].transport->connect(NodeId{peer}, "");
    }
    void expect_all_there() {
        for (std::uint32_t from = 0; from < node_count; ++from)
            for (std::uint32_t to = 0; to < node_count; ++to) {
                Judge& sender = *processes[from].judge;
                Judge& receiver = *processes[to].judge;
                if (from == to || sender.up.count(NodeId{to}) == 0 || receiver.up.count(NodeId{from}) == 0) continue;
                EXPECT_TRUE(sender.all_accepted(NodeId{to})) << from << " to " << to;
                EXPECT_EQ(sender.ever_sent(NodeId{to}), receiver.seen(NodeId{from})) << from << " to " << to;
            }
    }

    std::mt19937_64 random;
    bool carrier_fails;
    std::uint64_t idle_ns{0};
    SimulatedNetwork network;
    CarrierWorld world;
    std::vector<Process> processes;
    std::vector<std::unique_ptr<Judge>> dead;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> cuts;
};

std::uint32_t sweep(std::uint32_t seeds) {
    const char* const scale = std::getenv("PHOENIX_TEST_SCALE");
    return std::max(1U, static_cast<std::uint32_t>(seeds * (scale != nullptr ? std::atof(scale) : 1.0)));
}

struct Sum {
    std::uint64_t carried{0};
    std::uint64_t cancelled{0};
    std::uint64_t damaged{0};
    std::uint64_t written_after_cancel{0};
};

Sum run(std::uint32_t seeds, bool faults, bool carrier_fails) {
    Sum sum;
    for (std::uint64_t seed = 1; seed <= seeds && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        CarriedCluster cluster{seed, carrier_fails};
        for (int step = 0; step < 3000; ++step) cluster.random_step(faults);
        cluster.heal();
        cluster.settle();
        cluster.expect_all_there();
        sum.carried += cluster.world.completed;
        sum.cancelled += cluster.world.cancelled;
        sum.written_after_cancel += cluster.world.written_after_cancel;
        sum.damaged += cluster.damaged();
    }
    return sum;
}

TEST(CarriedTransportSimulation, EverythingArrivesOnceByEitherWay) {
    const Sum sum = run(sweep(100), false, false);
    EXPECT_GT(sum.carried, 1000U);
    EXPECT_GT(sum.cancelled, 50U);  // the way was changed while frames were under way
}

TEST(CarriedTransportSimulation, ACarrierThatFailsCostsNoFrame) {
    const Sum sum = run(sweep(200), false, true);
    EXPECT_GT(sum.carried, 1000U);
    EXPECT_GT(sum.cancelled, 500U);
    EXPECT_GT(sum.written_after_cancel, 10U);
    EXPECT_GT(sum.damaged, 10U);
}

TEST(CarriedTransportSimulation, DeathsAndCutsOfTheBaseBesides) {
    const Sum sum = run(sweep(200), true, true);
    EXPECT_GT(sum.carried, 500U);
    EXPECT_GT(sum.cancelled, 200U);
}

/// Takes what comes, and counts how links end.
class Witness final : public TransportEvents {
  public:
    void connected(NodeId, SessionId) override { ++connects; }
    Landing place(NodeId, const Incoming&) override { return Landing::transient(); }
    void frame(NodeId, const Incoming&, std::span<const std::byte>) override { ++frames; }
    void withdrawn(NodeId, std::byte*) override {}
    void acknowledged(NodeId, std::uint64_t) override { ADD_FAILURE(); }
    void link_lost(NodeId, LinkEnd reason, std::string_view) override { violations += reason == LinkEnd::violated; }
    void peer_restarted(NodeId) override {}
    void refused(const Refusal&) override {}
    std::uint64_t connects{0};
    std::uint64_t frames{0};
    std::uint64_t violations{0};
};

TEST(CarriedTransportSimulation, WhoeverSpeaksNonsenseLosesTheLinkAndNothingElseHappens) {
    std::mt19937_64 random{5};
    SimulatedNetwork network{{.seed = 5}};
    CarrierWorld world{5};
    Witness here;
    Witness there;
    CarriedTransport transport{
        world.start(), here, {.size_min = carried_from, .now_ns = [&] { return network.now_ns(); }}};
    transport.use(network.start(NodeId{0}, transport.of_base()));
    const auto stranger = network.start(NodeId{1}, there);
    const auto settle = [&] {
        for (bool busy = true; busy;) {
            busy = network.step();
            busy = transport.poll(0) + stranger->poll(0) > 0 || busy;
        }
    };
    for (int round = 0; round < 3000; ++round) {
        if (stranger->status(NodeId{0}).state == LinkState::absent) {
            ASSERT_TRUE(stranger->connect(NodeId{0}, ""));
            settle();
        }
        // Words that begin as ours do, with small numbers, sizes that no memory has, and any bytes.
        std::array<std::uint64_t, 8> head{};
        for (auto& word : head) word = random() % 3 == 0 ? random() : random() % 4;
        auto bytes = std::as_writable_bytes(std::span{head});
        bytes[0] = static_cast<std::byte>(random() % 9);
        const std::array<std::span<const std::byte>, 1> payload{bytes.first(random() % 4)};
        if (random() % 3 != 0) bytes[1] = static_cast<std::byte>(payload[0].size());
        (void)stranger->send(NodeId{0}, {.type = CarriedTransport::own_type,
                                         .head = bytes.first(random() % 4 == 0 ? random() % 65 : 24),
                                         .pieces = payload,
                                         .copy = true});
        settle();
    }
    EXPECT_GT(here.violations, 100U);
    EXPECT_GE(here.connects, here.violations);
    EXPECT_EQ(here.frames, 0U);
}

}  // namespace
}  // namespace phoenix::sim
