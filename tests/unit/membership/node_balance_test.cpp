#include "membership/node_balance.hpp"

#include <gtest/gtest.h>
#include <random>

namespace phoenix {
namespace {

std::vector<NodePlan> plans_of(const std::vector<NodeCensus>& nodes, std::uint64_t vnodes) {
    std::vector<NodePlan> plans;
    for (std::uint32_t node = 0; node < nodes.size(); ++node)
        plans.push_back(plan_node_balance(nodes, NodeId{node}, vnodes));
    return plans;
}

TEST(NodeBalance, NothingMovesWhereEverybodyHasAFairShare) {
    const std::vector<NodeCensus> nodes{{2, 2, 8}, {2, 2, 8}, {1, 1, 4}};
    for (const NodePlan& plan : plans_of(nodes, 20)) {
        EXPECT_TRUE(plan.fair);
        EXPECT_TRUE(plan.gifts.empty());
    }
}

TEST(NodeBalance, ANewMemberGetsItsShareFromWhoeverHasMore) {
    const std::vector<NodeCensus> nodes{{1, 1, 6}, {1, 1, 6}, {2, 2, 0}};
    const auto plans = plans_of(nodes, 12);
    EXPECT_EQ(plans[0].gifts, (std::vector<NodeGift>{{NodeId{2}, 3}}));
    EXPECT_EQ(plans[1].gifts, (std::vector<NodeGift>{{NodeId{2}, 3}}));
    EXPECT_TRUE(plans[2].gifts.empty());
    EXPECT_FALSE(plans[2].fair);
}

TEST(NodeBalance, ANodeWithoutMembersGivesEverything) {
    const std::vector<NodeCensus> nodes{{0, 0, 5}, {1, 1, 2}, {1, 1, 2}};
    const auto plans = plans_of(nodes, 9);
    std::uint32_t given = 0;
    for (const NodeGift& gift : plans[0].gifts) given += gift.vnodes;
    EXPECT_EQ(given, 5U);
}

TEST(NodeBalance, WhoeverDoesNotTakeYetIsWaitedFor) {
    const std::vector<NodeCensus> nodes{{1, 1, 4}, {1, 0, 0}};
    const NodePlan plan = plan_node_balance(nodes, NodeId{0}, 4);
    EXPECT_TRUE(plan.gifts.empty());
    EXPECT_FALSE(plan.fair);
}

TEST(NodeBalance, NothingMovesWhileFiguresAreOldOrNobodyStays) {
    const std::vector<NodeCensus> old{{1, 1, 4}, {1, 1, 3}};
    EXPECT_FALSE(plan_node_balance(old, NodeId{0}, 8).fair);
    EXPECT_TRUE(plan_node_balance(old, NodeId{0}, 8).gifts.empty());
    const std::vector<NodeCensus> nobody{{0, 0, 4}, {0, 0, 4}};
    EXPECT_FALSE(plan_node_balance(nobody, NodeId{0}, 8).fair);
}

TEST(NodeBalance, PlansOfAllNodesTogetherAreFairAndLeast) {
    std::mt19937_64 random{7};
    for (int round = 0; round < 3000; ++round) {
        std::vector<NodeCensus> nodes(1 + random() % 6);
        std::uint64_t vnodes = 0;
        std::uint64_t keepers = 0;
        for (NodeCensus& node : nodes) {
            node.keepers = node.takers = static_cast<std::uint32_t>(random() % 4);
            node.vnodes = static_cast<std::uint32_t>(random() % 20);
            vnodes += node.vnodes;
            keepers += node.keepers;
        }
        if (keepers == 0) continue;
        std::vector<std::int64_t> after(nodes.size());
        for (std::size_t node = 0; node < nodes.size(); ++node) after[node] = nodes[node].vnodes;
        std::uint64_t moved = 0;
        const auto plans = plans_of(nodes, vnodes);
        for (std::size_t node = 0; node < nodes.size(); ++node) {
            for (const NodeGift& gift : plans[node].gifts) {
                ASSERT_NE(gift.receiver.value, node);
                after[node] -= gift.vnodes;
                after[gift.receiver.value] += gift.vnodes;
                moved += gift.vnodes;
            }
        }
        const auto low = static_cast<std::int64_t>(vnodes / keepers);
        const std::int64_t high = low + (vnodes % keepers != 0 ? 1 : 0);
        std::uint64_t over_high = 0;
        std::uint64_t under_low = 0;
        for (std::size_t node = 0; node < nodes.size(); ++node) {
            ASSERT_GE(after[node], low * nodes[node].keepers) << round;
            ASSERT_LE(after[node], high * nodes[node].keepers) << round;
            const std::int64_t had = nodes[node].vnodes;
            over_high += static_cast<std::uint64_t>(std::max<std::int64_t>(had - high * nodes[node].keepers, 0));
            under_low += static_cast<std::uint64_t>(std::max<std::int64_t>(low * nodes[node].keepers - had, 0));
        }
        ASSERT_LE(moved, std::max(over_high, under_low)) << round;
    }
}

}  // namespace
}  // namespace phoenix
