#include "pflight/node_shares.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

namespace phoenix::pflight {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(MemberShares, AreBlocksAsEvenAsPossibleTheLargerFirst) {
    EXPECT_THAT(member_shares(8, 3), ElementsAre(3, 3, 2));
    EXPECT_THAT(member_shares(4, 4), ElementsAre(1, 1, 1, 1));
    EXPECT_THAT(member_shares(5, 1), ElementsAre(5));
    for (std::uint32_t nodes = 1; nodes <= 64; ++nodes) {
        const auto shares = member_shares(64, nodes);
        EXPECT_EQ(std::accumulate(shares.begin(), shares.end(), 0U), 64U);
        EXPECT_LE(shares.front() - shares.back(), 1U);
    }
}

TEST(MemberShares, MembersAreCountedOverTheNodesInOrder) {
    const std::vector<std::uint32_t> shares{3, 3, 2};
    EXPECT_EQ(place_of(0, shares), (MemberName{0, 0}));
    EXPECT_EQ(place_of(2, shares), (MemberName{0, 2}));
    EXPECT_EQ(place_of(3, shares), (MemberName{1, 0}));
    EXPECT_EQ(place_of(7, shares), (MemberName{2, 1}));
    EXPECT_EQ(place_of(8, shares), std::nullopt);
}

TEST(MemberNames, AreReadAsTheyAreWritten) {
    EXPECT_EQ(text_of({std::nullopt, 2}), "2");
    EXPECT_EQ(text_of({1, 2}), "1.2");
    EXPECT_EQ(parse_member_name("2"), (MemberName{std::nullopt, 2}));
    EXPECT_EQ(parse_member_name("1.2"), (MemberName{1, 2}));
    for (const char* garbage : {"", ".", "1.", ".2", "1.2.3", "256", "64.0", "1.256", "-1", "a", "1.x", " 1"})
        EXPECT_EQ(parse_member_name(garbage), std::nullopt) << garbage;
}

TEST(NodeFaults, GoToTheNodeOfTheirMember) {
    const std::vector<std::uint32_t> shares{2, 2};
    const std::vector<PlannedFault> faults{*parse_fault("kill:2@300"), *parse_fault("stop:1@20+1s"),
                                           *parse_fault("kill:coordinator@50"), *parse_fault("kill:port1@60"),
                                           *parse_fault("join:2@70")};
    const auto plans = faults_of_nodes(faults, std::nullopt, shares, false);
    ASSERT_TRUE(plans) << plans.error().sentence;
    ASSERT_EQ((*plans)[0].size(), 3U);
    EXPECT_EQ((*plans)[0][0].target, 1);
    EXPECT_EQ((*plans)[0][1].target, fault_target_coordinator);
    EXPECT_EQ((*plans)[0][2].kind, FaultKind::join);
    ASSERT_EQ((*plans)[1].size(), 2U);
    EXPECT_EQ((*plans)[1][0].target, 0);
    EXPECT_EQ((*plans)[1][0].step, 300U);
    EXPECT_EQ((*plans)[1][1].kind, FaultKind::kill_port);
    EXPECT_EQ((*plans)[1][1].target, fault_target_anybody);
}

TEST(NodeFaults, OfNobodyAreRefused) {
    const std::vector<std::uint32_t> shares{2, 2};
    const auto sentence = [&](const char* text) {
        const std::vector<PlannedFault> faults{*parse_fault(text)};
        return faults_of_nodes(faults, std::nullopt, shares, false).error().sentence;
    };
    EXPECT_THAT(sentence("kill:4@1"), HasSubstr("no member 4; with -n 4 they are 0 to 3"));
    EXPECT_THAT(sentence("kill:port2@1"), HasSubstr("no port 2"));
}

TEST(NodeChaos, LeavesTheFirstNodeAMemberAndTakesNoMoreThanThereAre) {
    const std::vector<std::uint32_t> shares{4, 2, 1, 3};
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        const Chaos chaos{.seed = seed, .kills = 4, .joins = 1, .retires = 3, .moves = 5, .ports = 3};
        const auto nodes = chaos_of_nodes(chaos, shares, false);
        ASSERT_TRUE(nodes) << nodes.error().sentence;
        Chaos sum;
        for (std::size_t node = 0; node < shares.size(); ++node) {
            const Chaos& of_node = (*nodes)[node];
            EXPECT_LE(of_node.losses(), shares[node] + of_node.joins - (node == 0 ? 1 : 0))
                << "node " << node << ", seed " << seed;
            EXPECT_EQ(of_node.moves, 5U);
            sum.kills += of_node.kills;
            sum.retires += of_node.retires;
            sum.joins += of_node.joins;
            sum.ports += of_node.ports;
        }
        EXPECT_EQ(sum.kills, 4U);
        EXPECT_EQ(sum.retires, 3U);
        EXPECT_EQ(sum.joins, 1U);
        EXPECT_EQ(sum.ports, 3U);
    }
}

TEST(NodeChaos, IsTheSameForTheSameSeedAndDiffersBetweenNodes) {
    const std::vector<std::uint32_t> shares{3, 3};
    const Chaos chaos{.seed = 7, .moves = 4};
    const auto plans = faults_of_nodes({}, chaos, shares, false);
    ASSERT_TRUE(plans);
    EXPECT_EQ(*plans, *faults_of_nodes({}, chaos, shares, false));
    EXPECT_NE((*plans)[0].front().step_fraction, (*plans)[1].front().step_fraction);
}

TEST(NodeChaos, ThatLeavesNoMemberIsRefusedUnlessTheDeadAreReplaced) {
    const std::vector<std::uint32_t> shares{2, 1};
    const Chaos chaos{.seed = 1, .kills = 3};
    EXPECT_THAT(chaos_of_nodes(chaos, shares, false).error().sentence, HasSubstr("of 3 kills and retires 2 are"));
    EXPECT_TRUE(chaos_of_nodes(chaos, shares, true));
}

TEST(NodeChaos, WaitsForTheFaultsOfItsOwnNodeOnly) {
    const std::vector<std::uint32_t> shares{3, 3};
    const std::vector<PlannedFault> faults{*parse_fault("kill:3@3")};
    const auto plans = faults_of_nodes(faults, Chaos{.seed = 3, .moves = 3}, shares, false);
    ASSERT_TRUE(plans);
    for (const auto& plan : *plans)
        for (std::size_t index = 0; index < plan.size(); ++index) EXPECT_LE(plan[index].after, index);
    EXPECT_EQ((*plans)[0].size(), 3U);
    EXPECT_EQ((*plans)[1].size(), 4U);
    EXPECT_EQ((*plans)[1].back().after, 3U);
}

}  // namespace
}  // namespace phoenix::pflight
