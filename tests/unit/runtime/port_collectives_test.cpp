#include "runtime/port_collectives.hpp"

#include "unit/runtime/port_node.hpp"

#include <gtest/gtest.h>
#include <numeric>
#include <random>

namespace phoenix {
namespace {

using testing_tools::PortNodeFixture;

/// Sums of numbers, over the tree as members make them (DomainState::complete).
struct SumNode {
    SumNode(std::uint32_t id, std::uint32_t nodes, std::uint32_t vnodes) : shared(id, nodes, vnodes) {
        shared.domain->collective_bytes_max = 64;
        collectives = std::make_unique<PortCollectives>(
            PortNode{shared.context, *shared.pool, *shared.mail, shared.links}, *shared.port);
        EXPECT_TRUE(memory.find(shared.context, *shared.pool, *shared.domain));
    }
    void deposit(std::uint32_t vnode, std::uint32_t round, std::uint64_t value) {
        CollectiveNode& leaf = memory.node(0, vnode, round);
        leaf.size = sizeof value;
        std::memcpy(CollectiveMemory::value_of(leaf), &value, sizeof value);
        leaf.word.store(CollectiveMemory::done_word(0, round));
    }
    bool complete(std::uint32_t level, std::uint32_t place, std::uint32_t round) {
        CollectiveNode& here = memory.node(level, place, round);
        const std::uint64_t done = CollectiveMemory::done_word(0, round);
        if (here.word.load() == done) return true;
        if (level == 0) return false;
        const bool right = 2 * place + 1 < memory.size(level - 1);
        const bool left_done = complete(level - 1, 2 * place, round);
        const bool right_done = !right || complete(level - 1, 2 * place + 1, round);
        if (!left_done || !right_done) return false;
        std::uint64_t sum = value(level - 1, 2 * place, round) + (right ? value(level - 1, 2 * place + 1, round) : 0);
        here.size = sizeof sum;
        std::memcpy(CollectiveMemory::value_of(here), &sum, sizeof sum);
        here.word.store(done);
        return true;
    }
    [[nodiscard]] std::uint64_t value(std::uint32_t level, std::uint32_t place, std::uint32_t round) const {
        std::uint64_t number = 0;
        std::memcpy(&number, CollectiveMemory::value_of(memory.node(level, place, round)), sizeof number);
        return number;
    }
    [[nodiscard]] bool complete(std::uint32_t round) { return complete(memory.levels() - 1, 0, round); }
    [[nodiscard]] std::uint64_t total(std::uint32_t round) const { return value(memory.levels() - 1, 0, round); }

    PortNodeFixture shared;
    CollectiveMemory memory;
    std::unique_ptr<PortCollectives> collectives;
};

struct PortCollectivesTest : ::testing::Test {
    std::vector<std::unique_ptr<SumNode>> nodes;
    std::size_t frames{0};

    void make(std::uint32_t count, std::uint32_t vnodes) {
        for (std::uint32_t id = 0; id < count; ++id) nodes.push_back(std::make_unique<SumNode>(id, count, vnodes));
    }
    void exchange() {
        for (const auto& node : nodes) {
            node->collectives->work();
            for (const auto& frame : std::exchange(node->shared.network.sent, {})) {
                PlaceHead head{};
                ASSERT_TRUE(read_head(frame.head, head));
                nodes[frame.peer.value]->collectives->take_place(head, frame.payload);
                node->shared.links.acknowledged(frame.cookie);
                ++frames;
            }
        }
    }
};

TEST_F(PortCollectivesTest, AllNodesGetTheSameSumWhateverTheLocations) {
    for (const std::uint32_t count : {2U, 3U, 5U})
        for (const std::uint32_t vnodes : {1U, 2U, 7U, 8U, 33U}) {
            nodes.clear();
            make(count, vnodes);
            std::mt19937 random{count * 100 + vnodes};
            // VNodes lie anywhere.
            for (std::uint32_t v = 0; v < vnodes; ++v) {
                const NodeId at{static_cast<std::uint32_t>(random() % count)};
                for (const auto& node : nodes) {
                    const bool here = at == node->shared.context.node();
                    node->shared.context.location_word(*node->shared.domain, v) =
                        LocationWord::make(at, here ? LocationState::here : LocationState::away, 1).bits;
                }
            }
            std::uint64_t expected = 0;
            for (std::uint32_t round = 0; round < 4; ++round) {
                expected = 0;
                for (std::uint32_t v = 0; v < vnodes; ++v) {
                    const std::uint64_t number = random();
                    expected += number;
                    for (const auto& node : nodes)
                        if (node->shared.port->location(v).here()) node->deposit(v, round, number);
                }
                for (const auto& node : nodes) (void)node->complete(round);
                exchange();
                for (const auto& node : nodes) {
                    ASSERT_TRUE(node->complete(round)) << count << " nodes, " << vnodes << " VNodes, round " << round;
                    ASSERT_EQ(node->total(round), expected);
                }
            }
        }
}

TEST_F(PortCollectivesTest, OnlyTheLargestCompletePlacesTravel) {
    make(2, 1024);
    exchange();  // a new link is told everything, and there is nothing yet
    EXPECT_EQ(frames, 0U);
    for (std::uint32_t v = 0; v < 1024; ++v)
        for (const auto& node : nodes)
            if (node->shared.port->location(v).here()) node->deposit(v, 0, 1);
    for (const auto& node : nodes) (void)node->complete(0);
    exchange();
    EXPECT_EQ(frames, 2U) << "half of the tree each way";
    EXPECT_TRUE(nodes[0]->complete(0));
    EXPECT_EQ(nodes[0]->total(0), 1024U);
}

TEST_F(PortCollectivesTest, ANewPortLearnsEverythingAndOldNewsDoNoHarm) {
    make(2, 8);
    for (const std::uint32_t round : {0U, 1U, 2U}) {
        for (std::uint32_t v = 0; v < 8; ++v)
            for (const auto& node : nodes)
                if (node->shared.port->location(v).here()) node->deposit(v, round, round + 1);
        for (const auto& node : nodes) (void)node->complete(round);
        if (round < 2) exchange();
        if (round < 2)
            for (const auto& node : nodes) (void)node->complete(round);
    }
    // The port of node 0 dies before it has told anything of round 2; all is told again, rounds 1 and 2.
    nodes[0]->collectives = std::make_unique<PortCollectives>(
        PortNode{nodes[0]->shared.context, *nodes[0]->shared.pool, *nodes[0]->shared.mail, nodes[0]->shared.links},
        *nodes[0]->shared.port);
    nodes[1]->collectives->forget(NodeId{0});
    exchange();
    for (const auto& node : nodes) {
        ASSERT_TRUE(node->complete(2));
        EXPECT_EQ(node->total(2), 24U);
        EXPECT_EQ(node->total(1), 16U);
    }
}

TEST_F(PortCollectivesTest, ItIsSettledOnceTheOthersHaveWhatIsCompleteHere) {
    make(2, 2);
    nodes[0]->deposit(0, 0, 5);
    nodes[0]->collectives->work();
    EXPECT_FALSE(nodes[0]->collectives->settled());
    exchange();
    nodes[0]->shared.links.acknowledged(1);
    EXPECT_TRUE(nodes[0]->collectives->settled());
}

}  // namespace
}  // namespace phoenix
