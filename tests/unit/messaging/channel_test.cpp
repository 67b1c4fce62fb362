#include "messaging/channel.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <set>
#include <sys/mman.h>
#include <vector>

namespace phoenix {
namespace {

/// Records in memory of our own, and a channel they are filed in.
class ChannelTest : public testing::Test {
  protected:
    RecordRef record(std::uint64_t sequence, std::uint32_t tag) {
        Record& made = records_.emplace_back();
        made.sequence = sequence;
        made.tag_kind = tag << 8;
        return {&made, nullptr};
    }
    void file(std::uint64_t sequence, std::uint32_t tag) { channel_.insert(record(sequence, tag)); }
    /// Sequence of what take() gave.
    std::optional<std::uint64_t> taken(std::uint32_t tag) { return sequence_of(channel_.take(tag)); }
    std::optional<std::uint64_t> taken_next() { return sequence_of(channel_.take_next()); }

    Channel channel_;

  private:
    static std::optional<std::uint64_t> sequence_of(const std::optional<RecordRef>& ref) {
        return ref ? std::optional{ref->record->sequence} : std::nullopt;
    }
    std::deque<Record> records_;
};

TEST(ConsumedSetTest, IsASetAndNoCursor) {
    ConsumedSet set;
    for (std::uint64_t sequence = 0; sequence < 9; ++sequence) set.add(sequence);
    set.add(10);
    EXPECT_TRUE(set.contains(8));
    EXPECT_FALSE(set.contains(9)) << "10 was consumed before 9";
    EXPECT_TRUE(set.contains(10));
    EXPECT_FALSE(set.contains(11));
    EXPECT_EQ(set.low, 9U);
    set.add(9);
    EXPECT_EQ(set.low, 11U);
    EXPECT_TRUE(set.above.empty());
}

TEST(ConsumedSetTest, AnyOrderGivesTheSameSet) {
    std::mt19937 random{5};
    for (int round = 0; round < 200; ++round) {
        std::vector<std::uint64_t> order(60);
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        std::shuffle(order.begin(), order.end(), random);
        ConsumedSet set;
        std::set<std::uint64_t> expected;
        for (const std::uint64_t sequence : order) {
            set.add(sequence);
            expected.insert(sequence);
            for (std::uint64_t i = 0; i < 62; ++i) ASSERT_EQ(set.contains(i), expected.count(i) == 1);
            ASSERT_FALSE(set.contains(set.low));
        }
        ASSERT_EQ(set.low, 60U);
        ASSERT_TRUE(set.above.empty());
    }
}

TEST_F(ChannelTest, TakesByTagInTheOrderOfTheChannel) {
    for (std::uint64_t i = 0; i < 6; ++i) file(i, i % 2 == 0 ? 1 : 2);
    EXPECT_EQ(taken(2), 1U);
    EXPECT_EQ(taken(2), 3U);
    EXPECT_TRUE(channel_.has(1));
    EXPECT_FALSE(channel_.has(3));
    EXPECT_EQ(taken(3), std::nullopt);
    EXPECT_EQ(taken(1), 0U);
    EXPECT_EQ(taken(1), 2U);
    EXPECT_EQ(channel_.consumed.low, 4U);
    EXPECT_EQ(taken_next(), 4U);
    EXPECT_EQ(taken(1), std::nullopt);
    EXPECT_EQ(taken_next(), 5U);
    EXPECT_TRUE(channel_.empty());
    EXPECT_EQ(taken_next(), std::nullopt);
    EXPECT_EQ(channel_.consumed.low, 6U);
}

TEST_F(ChannelTest, KnowsTheNextSequenceOnlyWhileNothingElseIsThere) {
    EXPECT_TRUE(channel_.is_next(0));
    EXPECT_FALSE(channel_.is_next(1));
    file(1, 5);
    EXPECT_FALSE(channel_.is_next(0)) << "one that overtook it is pending";
    file(0, 4);
    EXPECT_EQ(taken(5), 1U);
    EXPECT_FALSE(channel_.is_next(0)) << "it is pending itself";
    EXPECT_EQ(taken(4), 0U);
    EXPECT_TRUE(channel_.is_next(2));
    channel_.consumed.above = {4};
    EXPECT_FALSE(channel_.is_next(2)) << "consuming it must join what is above";
}

TEST_F(ChannelTest, WhatOvertookWaitsForTheOneBefore) {
    file(0, 1);
    file(2, 1);
    file(3, 7);
    EXPECT_FALSE(channel_.has(7)) << "record 1 may have the tag as well";
    EXPECT_EQ(taken(7), std::nullopt);
    EXPECT_EQ(taken(1), 0U);
    EXPECT_EQ(taken(1), std::nullopt);
    EXPECT_EQ(taken_next(), std::nullopt);
    file(1, 7);
    EXPECT_EQ(taken(7), 1U);
    EXPECT_EQ(taken(7), 3U);
    EXPECT_EQ(taken(1), 2U);
}

TEST_F(ChannelTest, ConsumedOnesAboveAreNoGaps) {
    channel_.consumed.low = 9;
    channel_.consumed.above = {10, 11, 13};
    file(14, 1);
    file(12, 2);
    EXPECT_EQ(taken(1), std::nullopt) << "9 is missing";
    file(9, 3);
    EXPECT_EQ(taken(1), 14U);
    EXPECT_EQ(channel_.consumed.above, (std::vector<std::uint64_t>{10, 11, 13, 14}));
    EXPECT_EQ(taken_next(), 9U);
    EXPECT_EQ(taken_next(), 12U);
    EXPECT_EQ(channel_.consumed.low, 15U);
    EXPECT_TRUE(channel_.consumed.above.empty());
}

TEST_F(ChannelTest, DuplicatesAreFoundPendingOrConsumed) {
    for (const std::uint64_t sequence : {0U, 1U, 2U, 4U}) file(sequence, 1);
    ASSERT_EQ(taken(1), 0U);
    EXPECT_TRUE(channel_.consumed.contains(0));
    EXPECT_EQ(channel_.find_pending(0), nullptr) << "taken, though its place in the list is not reused yet";
    ASSERT_NE(channel_.find_pending(4), nullptr);
    EXPECT_EQ(channel_.find_pending(4)->record->sequence, 4U);
    EXPECT_EQ(channel_.find_pending(3), nullptr);
    EXPECT_EQ(channel_.find_pending(5), nullptr);
}

TEST_F(ChannelTest, AnyOrderOfArrivalGivesTheSameOrderOfConsumption) {
    constexpr std::uint64_t count = 400;
    std::mt19937 random{9};
    std::vector<std::uint64_t> order(count);
    for (std::size_t i = 0; i < count; ++i) order[i] = i;
    // Neighbours change places, far ones do not: as logs of two owners mix.
    for (std::size_t i = 0; i + 20 < count; ++i) std::swap(order[i], order[i + random() % 20]);
    std::vector<std::vector<std::uint64_t>> consumed(3);
    std::size_t arrived = 0;
    while (consumed[0].size() + consumed[1].size() + consumed[2].size() < count) {
        if (arrived < count && random() % 2 == 0)
            file(order[arrived], static_cast<std::uint32_t>(order[arrived] % 3)), ++arrived;
        const auto tag = static_cast<std::uint32_t>(random() % 3);
        if (const auto sequence = taken(tag)) consumed[tag].push_back(*sequence);
    }
    for (std::uint64_t tag = 0; tag < 3; ++tag)
        for (std::size_t i = 0; i < consumed[tag].size(); ++i) ASSERT_EQ(consumed[tag][i], i * 3 + tag);
    EXPECT_EQ(channel_.consumed.low, count);
    EXPECT_TRUE(channel_.empty());
}

TEST_F(ChannelTest, ALongQueueIsWorkedOffFromTheFront) {
    for (std::uint64_t i = 0; i < 1000; ++i) file(i, 1);
    for (std::uint64_t i = 0; i < 900; ++i) ASSERT_EQ(taken(1), i);
    EXPECT_LT(channel_.pending.size(), 300U) << "what is consumed takes no room";
    for (std::uint64_t i = 1000; i < 1100; ++i) file(i, 1);
    for (std::uint64_t i = 900; i < 1100; ++i) ASSERT_EQ(taken(1), i);
}

TEST(ChannelTableTest, MoreThanSixteenPeersAreKeptApart) {
    ChannelTable table;
    for (std::uint32_t peer = 0; peer < 300; ++peer) table.at(peer * 17 % 301).send_next = peer;
    EXPECT_EQ(table.all().size(), 300U);
    for (std::uint32_t peer = 0; peer < 300; ++peer) {
        EXPECT_EQ(table.at(peer * 17 % 301).send_next, peer);
        EXPECT_EQ(table.at(peer * 17 % 301).peer, peer * 17 % 301);
    }
    EXPECT_EQ(table.all().size(), 300U);
    EXPECT_EQ(table.at(1000).send_next, 0U);
    EXPECT_EQ(table.all().size(), 301U);
}

/// A table with channels of all kinds: peers 0, 7, 14, ..., consumed sets with and without numbers above.
ChannelTable some_table(std::uint32_t peers) {
    ChannelTable table;
    for (std::uint32_t i = 0; i < peers; ++i) {
        Channel& channel = table.at(i * 7);
        channel.send_next = std::uint64_t{i} << 33;
        channel.consumed.low = i * 10;
        for (std::uint64_t above = 0; above < i % 4; ++above) channel.consumed.above.push_back(i * 10 + 2 + above * 3);
    }
    return table;
}

std::vector<std::byte> written(const ChannelTable& table) {
    std::vector<std::byte> bytes(channels_size(table));
    write_channels(table, bytes.data());
    return bytes;
}

TEST(ChannelCommitTest, WhatIsWrittenIsReadAndAnswersTheSame) {
    for (const std::uint32_t peers : {0U, 1U, 16U, 17U, 50U}) {
        const ChannelTable table = some_table(peers);
        const std::vector<std::byte> bytes = written(table);
        ChannelTable back = some_table(3);
        read_channels(bytes.data(), table.all().size(), back);
        ASSERT_EQ(back.all().size(), peers);
        for (std::uint32_t i = 0; i < peers; ++i) {
            const Channel& before = table.all()[i];
            const Channel& after = back.at(before.peer);
            EXPECT_EQ(after.send_next, before.send_next);
            EXPECT_EQ(after.consumed.low, before.consumed.low);
            EXPECT_EQ(after.consumed.above, before.consumed.above);
            EXPECT_TRUE(after.empty());
            for (std::uint64_t sequence = 0; sequence < 520; ++sequence)
                ASSERT_EQ(committed_contains(bytes, peers, before.peer, sequence), before.consumed.contains(sequence));
        }
        EXPECT_EQ(back.all().size(), peers);
        EXPECT_FALSE(committed_contains(bytes, peers, 3, 0)) << "a channel it does not know";
    }
}

TEST(ChannelCommitTest, GarbageIsNeverReadBeyondItsEnd) {
    // The bytes end where a page begins that cannot be read: one step too far ends the test.
    constexpr std::size_t room = 8192;
    const auto unmap = [](void* place) { munmap(place, room + 4096); };
    const std::unique_ptr<void, decltype(unmap)> pages{
        mmap(nullptr, room + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), unmap};
    ASSERT_NE(pages.get(), MAP_FAILED);
    auto* const end = static_cast<std::byte*>(pages.get()) + room;
    ASSERT_EQ(mprotect(end, 4096, PROT_NONE), 0);
    std::mt19937 random{13};
    const std::vector<std::byte> good = written(some_table(40));
    for (int round = 0; round < 20'000; ++round) {
        const std::size_t size = random() % (good.size() + 1);
        std::byte* const begin = end - size;
        if (size != 0) std::memcpy(begin, good.data(), size);  // cut anywhere
        for (std::size_t wrong = random() % 4; wrong > 0 && size != 0; --wrong)
            begin[random() % size] = static_cast<std::byte>(random());
        for (const std::uint64_t count : {std::uint64_t{0}, std::uint64_t{40}, ~std::uint64_t{0}})
            static_cast<void>(
                committed_contains({begin, size}, count, static_cast<std::uint32_t>(random() % 300), random() % 600));
    }
    // A count of numbers above that would wrap around or lead far outside.
    for (const std::uint32_t above_count : {1U, 2U, 3U, 0x1FFFFFFFU, 0x20000000U, 0xFFFFFFFFU}) {
        const ChannelCommit commit{9, above_count, 0, 5};
        std::byte* const begin = end - sizeof commit - 16;
        std::memcpy(begin, &commit, sizeof commit);
        const std::uint64_t above[2]{7, 8};
        std::memcpy(begin + sizeof commit, above, sizeof above);
        const std::span<const std::byte> bytes{begin, sizeof commit + 16};
        EXPECT_TRUE(committed_contains(bytes, 1, 9, 4));
        EXPECT_FALSE(committed_contains(bytes, 1, 9, 6));
        EXPECT_TRUE(committed_contains(bytes, 1, 9, 7));
        EXPECT_EQ(committed_contains(bytes, 1, 9, 8), above_count > 1);
        EXPECT_FALSE(committed_contains(bytes, ~std::uint64_t{0}, 10, 0));
    }
}

}  // namespace
}  // namespace phoenix
