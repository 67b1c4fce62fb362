#include "runtime/port_state.hpp"

#include "unit/runtime/port_node.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace phoenix {
namespace {

using testing_tools::commit_sample;
using testing_tools::PortNodeFixture;

/// VNode 0 has a commit on node 0 and comes to node 1, where nothing is known of it.
struct PortStateTest : ::testing::Test {
    PortNodeFixture from{0, 2, 2};
    PortNodeFixture to{1, 2, 2};
    std::vector<std::byte> payload;
    StateHead head{};

    void pack() {
        VNodeRecord& record = from.context.vnode_record(*from.domain, 0);
        const std::vector<std::byte> meta = state_meta(*from.domain, record);
        const StatePieces pieces = state_pieces(from.context, *from.pool, *from.domain, 0, meta);
        payload.clear();
        for (const auto& piece : pieces.pieces) payload.insert(payload.end(), piece.begin(), piece.end());
        head = {0, 0, 1, pieces.digest, pieces.channel_bytes};
    }
    [[nodiscard]] auto store() { return store_state(to.context, *to.pool, *to.domain, 0, head, payload); }
    [[nodiscard]] static std::size_t state_extents(const PortNodeFixture& node) {
        std::size_t count = 0;
        node.pool->for_each([&](ExtentId, std::uint64_t, const ExtentOwner& owner) {
            count += owner.kind == ExtentKind::state ? 1 : 0;
        });
        return count;
    }
};

TEST_F(PortStateTest, AStateArrivesAsItLeft) {
    commit_sample(from, 0);
    pack();
    ASSERT_TRUE(store());
    VNodeRecord& record = to.context.vnode_record(*to.domain, 0);
    CommitSlot& slot = slot_of(record, *to.domain, record.select.load());
    EXPECT_EQ(slot.number, record.select.load());
    EXPECT_EQ(slot.phase, 2U);
    EXPECT_EQ(slot.step, 41U);
    EXPECT_EQ(slot.serial, 42U);
    EXPECT_EQ(slot.sync_round, 7U);
    ChannelTable table;
    read_channels(to.pool->data(slot.channel_extent), slot.channel_count, table);
    EXPECT_EQ(table.at(3).consumed.low, 5U);
    EXPECT_EQ(table.at(3).send_next, 9U);
    const auto heat = committed_bytes(to.context, *to.pool, *to.domain, 0, 0, fields_of(slot)[0]);
    ASSERT_EQ(heat.size(), PortNodeFixture::heat_bytes);
    EXPECT_TRUE(std::all_of(heat.begin(), heat.end(), [](std::byte b) { return b == std::byte{0x5A}; }));
    const auto particles = committed_bytes(to.context, *to.pool, *to.domain, 0, 1, fields_of(slot)[1]);
    ASSERT_EQ(particles.size(), 24U);
    EXPECT_TRUE(std::all_of(particles.begin(), particles.end(), [](std::byte b) { return b == std::byte{0x3C}; }));
}

TEST_F(PortStateTest, AVNodeThatHasNotBeenInitialisedTravelsToo) {
    pack();
    ASSERT_TRUE(store());
    EXPECT_EQ(to.context.vnode_record(*to.domain, 0).select.load(), 0U);
}

TEST_F(PortStateTest, ADamagedStateIsRefused) {
    commit_sample(from, 0);
    pack();
    payload[payload.size() / 2] ^= std::byte{1};
    const auto stored = store();
    ASSERT_FALSE(stored);
    EXPECT_EQ(stored.error().code, Errc::corrupt);
    EXPECT_EQ(to.context.vnode_record(*to.domain, 0).select.load(), 0U);
}

TEST_F(PortStateTest, AnIncompleteStateIsRefusedAtEveryLength) {
    commit_sample(from, 0);
    pack();
    const std::vector<std::byte> whole = payload;
    for (std::size_t size = 0; size < whole.size(); size += 7) {
        payload.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        head.digest = state_digest(payload);
        EXPECT_FALSE(store()) << size;
    }
}

TEST_F(PortStateTest, WhatComesAgainTakesNoMoreMemory) {
    commit_sample(from, 0);
    pack();
    ASSERT_TRUE(store());
    const std::size_t extents = state_extents(to);
    const std::uint32_t count = to.pool->count();
    for (int time = 0; time < 10; ++time) ASSERT_TRUE(store());
    EXPECT_EQ(state_extents(to), extents);
    EXPECT_LE(to.pool->count(), count + 2);
}

TEST_F(PortStateTest, WhatHasLeftGivesItsMemoryBackAndKeepsItsProgress) {
    commit_sample(from, 0);
    EXPECT_EQ(state_extents(from), 2U);
    VNodeRecord& record = from.context.vnode_record(*from.domain, 0);
    free_state(*from.pool, *from.domain, record);
    EXPECT_EQ(state_extents(from), 0U);
    EXPECT_EQ(commit_of(record, *from.domain).step, 41U);
    free_state(*from.pool, *from.domain, record);  // by the next port, after a death in between
}

}  // namespace
}  // namespace phoenix
