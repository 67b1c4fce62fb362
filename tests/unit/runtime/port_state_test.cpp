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
    std::vector<std::byte> meta;
    std::vector<std::byte> payload;
    StateHead head{};

    void pack() {
        VNodeRecord& record = from.context.vnode_record(*from.domain, 0);
        meta = state_meta(*from.domain, record);
        const StatePieces pieces = state_pieces(from.context, *from.pool, *from.domain, 0, meta);
        payload.clear();
        for (const auto& piece : pieces.pieces) payload.insert(payload.end(), piece.begin(), piece.end());
        head = {0, 0, 1, pieces.channel_bytes};
    }
    [[nodiscard]] auto room() { return make_room(to.context, *to.pool, *to.domain, 0, head, meta, payload.size()); }
    /// As the transport would; up to `end`, if that comes first.
    void land(const StateRoom& where, std::size_t end = ~std::size_t{0}) {
        std::size_t at = 0;
        for (const auto& place : where.places) {
            for (std::size_t i = 0; i < place.size() && at + i < end; ++i) place[i] = payload[at + i];
            at += place.size();
        }
    }
    void store() {
        const auto where = room();
        ASSERT_TRUE(where) << where.error().sentence;
        land(*where);
        store_state(to.context, *to.pool, *to.domain, 0, *where);
    }
    [[nodiscard]] VNodeRecord& arrived() const { return to.context.vnode_record(*to.domain, 0); }
    [[nodiscard]] CommitSlot& arrived_commit() const { return slot_of(arrived(), *to.domain, arrived().select.load()); }
    [[nodiscard]] std::span<const std::byte> arrived_part(std::uint32_t field) const {
        return committed_bytes(to.context, *to.pool, *to.domain, 0, field, fields_of(arrived_commit())[field]);
    }
    [[nodiscard]] static bool all(std::span<const std::byte> bytes, int value) {
        return std::all_of(bytes.begin(), bytes.end(),
                           [value](std::byte b) { return b == static_cast<std::byte>(value); });
    }
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
    store();
    CommitSlot& slot = arrived_commit();
    EXPECT_EQ(slot.number, arrived().select.load());
    EXPECT_EQ(slot.phase, 2U);
    EXPECT_EQ(slot.step, 41U);
    EXPECT_EQ(slot.serial, 42U);
    EXPECT_EQ(slot.sync_round, 7U);
    ChannelTable table;
    read_channels(to.pool->data(slot.channel_extent), slot.channel_count, table);
    EXPECT_EQ(table.at(3).consumed.low, 5U);
    EXPECT_EQ(table.at(3).send_next, 9U);
    ASSERT_EQ(arrived_part(0).size(), PortNodeFixture::heat_bytes);
    EXPECT_TRUE(all(arrived_part(0), 0x5A));
    ASSERT_EQ(arrived_part(1).size(), 24U);
    EXPECT_TRUE(all(arrived_part(1), 0x3C));
}

TEST_F(PortStateTest, AVNodeThatHasNotBeenInitialisedTravelsToo) {
    pack();
    store();
    EXPECT_EQ(arrived().select.load(), 0U);
}

TEST_F(PortStateTest, APayloadOfAnotherLengthThanItsMetaSaysIsRefusedAndTakesNoMemory) {
    commit_sample(from, 0);
    pack();
    const std::size_t whole = payload.size();
    for (std::size_t size = 0; size < whole + 20; ++size) {
        payload.resize(size);
        const auto where = room();
        ASSERT_EQ(where.has_value(), size == whole) << size;
        if (where) continue;
        EXPECT_EQ(where.error().code, Errc::corrupt);
    }
    EXPECT_EQ(state_extents(to), 2U) << "of the one that is right";
}

TEST_F(PortStateTest, AMetaThatIsNoneIsRefusedAndTakesNoMemory) {
    commit_sample(from, 0);
    pack();
    const std::vector<std::byte> whole = meta;
    meta.pop_back();
    EXPECT_FALSE(room());
    meta = whole;
    FieldCommit particles{0, ~std::uint64_t{0} / 4};  // elements: their bytes overflow
    std::memcpy(meta.data() + sizeof(CommitSlot) + sizeof particles, &particles, sizeof particles);
    EXPECT_FALSE(room());
    meta = whole;
    head.channel_bytes = ~std::uint64_t{0};
    EXPECT_FALSE(room());
    EXPECT_EQ(state_extents(to), 0U);
}

// The commit in force may be what a gather reads here, or a state that is on its way from here.
TEST_F(PortStateTest, WhatArrivesTouchesNothingThatTheCommitInForceNames) {
    commit_sample(from, 0);
    pack();
    store();
    for (int time = 0; time < 4; ++time) {
        SCOPED_TRACE(time);
        const std::uint64_t number = arrived().select.load();
        std::fill(payload.begin(), payload.end(), std::byte{0xEE});
        const auto where = room();
        ASSERT_TRUE(where);
        land(*where);
        EXPECT_EQ(arrived().select.load(), number);
        EXPECT_TRUE(all(arrived_part(0), 0x5A));
        EXPECT_TRUE(all(arrived_part(1), 0x3C));
        ASSERT_NE(arrived_commit().channel_extent, 0U);
        pack();
        land(*where);
        store_state(to.context, *to.pool, *to.domain, 0, *where);
        EXPECT_TRUE(all(arrived_part(0), 0x5A));
    }
}

TEST_F(PortStateTest, WhatDoesNotComeAfterAllGivesItsMemoryBack) {
    commit_sample(from, 0);
    pack();
    auto where = room();
    ASSERT_TRUE(where);
    EXPECT_EQ(state_extents(to), 2U);
    land(*where, payload.size() / 2);
    give_back(*to.pool, *where);
    EXPECT_EQ(state_extents(to), 0U);
    EXPECT_EQ(arrived().select.load(), 0U);
}

TEST_F(PortStateTest, WhatComesAgainTakesNoMoreMemory) {
    commit_sample(from, 0);
    pack();
    store();
    const std::size_t extents = state_extents(to);
    const std::uint32_t count = to.pool->count();
    for (int time = 0; time < 10; ++time) store();
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
