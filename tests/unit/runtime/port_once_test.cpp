#include "runtime/port_once.hpp"

#include "unit/runtime/port_node.hpp"

#include <gtest/gtest.h>
#include <string>

namespace phoenix {
namespace {

using testing_tools::PortNodeFixture;

struct OnceNode {
    OnceNode(std::uint32_t id, std::uint32_t nodes)
        : shared(id, nodes, 2), once({shared.context, *shared.pool, *shared.mail, shared.links}) {}

    [[nodiscard]] OnceCell& cell(std::string_view name) const {
        return **find_once_cell(shared.context.segment(), name);
    }
    /// A member of this node claims it and asks, unless it may.
    void ask(std::string_view name) {
        OnceCell& at = cell(name);
        (void)claim_once(at, {0, 1}, [](auto, auto) { return false; });
        at.job.store(static_cast<std::uint32_t>(JobTurn::asked));
        shared.context.header().once_news.fetch_add(1);
    }
    void offer(std::string_view name, std::string_view result) {
        OnceCell& at = cell(name);
        const ExtentId extent = *shared.pool->allocate(result.size() + 1, ExtentKind::lasting);
        std::memcpy(shared.pool->data(extent), result.data(), result.size());
        at.result_offset = shared.pool->offset(extent);
        at.result_size = result.size();
        at.job.store(static_cast<std::uint32_t>(JobTurn::offered));
        shared.context.header().once_news.fetch_add(1);
    }
    [[nodiscard]] JobTurn turn(std::string_view name) const { return static_cast<JobTurn>(cell(name).job.load()); }
    [[nodiscard]] bool recorded(std::string_view name) const { return cell(name).state.load() == ~std::uint64_t{0}; }
    [[nodiscard]] std::string result(std::string_view name) const {
        const OnceCell& at = cell(name);
        return {reinterpret_cast<const char*>(shared.context.arena().at(at.result_offset)), at.result_size};
    }

    PortNodeFixture shared;
    PortOnce once;
};

/// Three nodes; frames reach their destination when deliver() is called.
struct PortOnceTest : ::testing::Test {
    std::vector<std::unique_ptr<OnceNode>> nodes;

    PortOnceTest() {
        for (std::uint32_t id = 0; id < 3; ++id) nodes.push_back(std::make_unique<OnceNode>(id, 3));
    }
    void deliver() {
        for (int round = 0; round < 6; ++round)
            for (const auto& node : nodes) {
                node->once.work();
                auto frames = std::exchange(node->shared.network.sent, {});
                for (const auto& frame : frames) take(*nodes[frame.peer.value], node->shared.links.self(), frame);
            }
    }
    static void take(OnceNode& node, NodeId from, const testing_tools::FakeTransport::Frame& frame) {
        OnceHead head{};
        ASSERT_TRUE(read_head(frame.head, head));
        const std::string_view text{reinterpret_cast<const char*>(frame.payload.data()), frame.payload.size()};
        const std::string_view name = text.substr(0, head.name_size);
        const std::string_view result = text.substr(head.name_size);
        if (frame.type == FrameType::once_ask) node.once.take_ask(from, name);
        if (frame.type == FrameType::once_grant) node.once.take_grant(name);
        if (frame.type == FrameType::once_offer) node.once.take_offer(from, name, result);
        if (frame.type == FrameType::once_result) node.once.take_result(name, result);
    }
};

TEST_F(PortOnceTest, OneNodeDoesItAndAllGetItsResult) {
    nodes[1]->ask("x");
    deliver();
    EXPECT_EQ(nodes[1]->turn("x"), JobTurn::granted);
    nodes[2]->ask("x");
    deliver();
    EXPECT_EQ(nodes[2]->turn("x"), JobTurn::asked) << "node 1 is at it";
    nodes[1]->offer("x", "forty-two");
    deliver();
    for (const auto& node : nodes) {
        ASSERT_TRUE(node->recorded("x"));
        EXPECT_EQ(node->result("x"), "forty-two");
    }
}

TEST_F(PortOnceTest, WhatTheHomeNodeHasDoneIsNotDoneAgain) {
    OnceCell& cell = nodes[0]->cell("x");
    ASSERT_EQ(claim_once(cell, {0, 1}, [](auto, auto) { return false; }), OnceStatus::claimed);
    nodes[1]->ask("x");
    deliver();
    EXPECT_EQ(nodes[1]->turn("x"), JobTurn::asked) << "a member of node 0 is at it";
    const ExtentId extent = *nodes[0]->shared.pool->allocate(8, ExtentKind::lasting);
    std::memcpy(nodes[0]->shared.pool->data(extent), "home", 4);
    record_once(cell, nodes[0]->shared.pool->offset(extent), 4);
    deliver();
    ASSERT_TRUE(nodes[1]->recorded("x"));
    EXPECT_EQ(nodes[1]->result("x"), "home");
}

TEST_F(PortOnceTest, WhatWasRecordedFirstCountsIfTwoHaveDoneIt) {
    nodes[1]->ask("x");
    deliver();
    ASSERT_EQ(nodes[1]->turn("x"), JobTurn::granted);
    // The port of the home node died, its claim was taken over there, and done.
    OnceCell& cell = nodes[0]->cell("x");
    const ExtentId extent = *nodes[0]->shared.pool->allocate(8, ExtentKind::lasting);
    std::memcpy(nodes[0]->shared.pool->data(extent), "first", 5);
    record_once(cell, nodes[0]->shared.pool->offset(extent), 5);
    nodes[1]->offer("x", "second");
    deliver();
    EXPECT_EQ(nodes[0]->result("x"), "first");
    EXPECT_EQ(nodes[1]->result("x"), "first");
}

TEST_F(PortOnceTest, ANewPortOfTheHomeNodeIsAskedAgain) {
    nodes[1]->ask("x");
    nodes[1]->once.work();
    nodes[1]->shared.network.sent.clear();  // it died with it
    nodes[1]->once.forget(home_node);
    deliver();
    EXPECT_EQ(nodes[1]->turn("x"), JobTurn::granted);
}

TEST_F(PortOnceTest, AResultDoesNotOverwriteWhatAMemberIsWriting) {
    nodes[1]->ask("x");
    deliver();
    ASSERT_EQ(nodes[1]->turn("x"), JobTurn::granted);
    nodes[1]->once.take_result("x", "late");
    EXPECT_FALSE(nodes[1]->recorded("x"));
}

TEST_F(PortOnceTest, WhatANodeWasToDoThatLostAllItsMembersIsDoneByAnother) {
    nodes[1]->ask("x");
    nodes[2]->ask("x");
    deliver();
    ASSERT_EQ(nodes[1]->turn("x"), JobTurn::granted);
    ASSERT_EQ(nodes[2]->turn("x"), JobTurn::asked);
    nodes[0]->shared.context.header().nodes_over.fetch_or(2);
    deliver();
    EXPECT_EQ(nodes[2]->turn("x"), JobTurn::granted);
}

}  // namespace
}  // namespace phoenix
