/// What is retained, what goes over which stream, and what goes again when a connection was lost.

#include "transport/outbox.hpp"

#include <array>
#include <cstring>
#include <deque>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>

namespace phoenix {
namespace {

void push_bytes(LaneOutbox& outbox, std::size_t size, std::uint64_t cookie = 0) {
    const std::vector<std::byte> bytes(size);
    const std::span<const std::byte> piece{bytes};
    outbox.push({.lane = Lane::bulk, .pieces = std::span{&piece, 1}, .copy = true, .cookie = cookie});
}

void accept_up_to(LaneOutbox& outbox, std::vector<SegmentLog>& streams, std::uint64_t number) {
    while (RetainedFrame* const frame = outbox.oldest(number)) {
        for (SegmentLog& stream : streams) stream.forget(*frame);
        outbox.pop_oldest();
    }
}

TEST(LaneOutbox, CutsFramesIntoSegmentsAndKeepsThemUntilAccepted) {
    LaneOutbox outbox{100};
    push_bytes(outbox, 250);
    push_bytes(outbox, 0);
    EXPECT_EQ(outbox.new_bytes(), 250U);
    std::vector<std::pair<std::uint64_t, std::uint32_t>> segments;
    while (const auto segment = outbox.pull()) segments.emplace_back(segment->frame->number, segment->length);
    const std::vector<std::pair<std::uint64_t, std::uint32_t>> expected{{1, 100}, {1, 100}, {1, 50}, {2, 0}};
    EXPECT_EQ(segments, expected);
    EXPECT_EQ(outbox.retained_bytes(), 250U);
    EXPECT_EQ(outbox.new_bytes(), 0U);
    EXPECT_EQ(outbox.oldest(0), nullptr);
    ASSERT_NE(outbox.oldest(2), nullptr);
    EXPECT_EQ(outbox.oldest(2)->number, 1U);
    outbox.pop_oldest();
    EXPECT_EQ(outbox.retained_frames(), 1U);
    EXPECT_EQ(outbox.oldest(1), nullptr);
}

TEST(LaneOutbox, KnowsWhatCanBeAccepted) {
    LaneOutbox outbox{100};
    push_bytes(outbox, 150);
    push_bytes(outbox, 10);
    EXPECT_TRUE(outbox.possible(0));
    EXPECT_FALSE(outbox.possible(1));
    static_cast<void>(outbox.pull());
    EXPECT_FALSE(outbox.possible(1));
    static_cast<void>(outbox.pull());
    EXPECT_TRUE(outbox.possible(1));
    EXPECT_FALSE(outbox.possible(2));
}

TEST(LaneOutbox, GathersAnyPartOfAPayloadOfManyPieces) {
    std::vector<std::byte> bytes(1000);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
    const std::array<std::span<const std::byte>, 5> pieces{
        std::span{bytes}.first(1), std::span<const std::byte>{}, std::span{bytes}.subspan(1, 499),
        std::span{bytes}.subspan(500, 3), std::span{bytes}.subspan(503)};
    for (const bool copy : {false, true}) {
        LaneOutbox outbox{100};
        outbox.push({.lane = Lane::bulk, .pieces = pieces, .copy = copy});
        const RetainedFrame& frame = *outbox.pull()->frame;
        std::mt19937 random{1};
        for (int round = 0; round < 2000; ++round) {
            const std::uint64_t offset = random() % 1001;
            const std::uint64_t length = random() % (1001 - offset);
            std::array<iovec, 8> parts;
            const std::size_t count = frame.gather(offset, length, std::span{parts}.first(1 + random() % 8));
            std::uint64_t at = offset;
            for (std::size_t i = 0; i < count; ++i) {
                ASSERT_EQ(std::memcmp(parts[i].iov_base, bytes.data() + at, parts[i].iov_len), 0);
                at += parts[i].iov_len;
            }
            ASSERT_LE(at, offset + length);
            ASSERT_TRUE(at > offset || length == 0);
        }
    }
}

TEST(SegmentLog, SendsAgainWhatTheReceiverHasNotAndNothingElse) {
    LaneOutbox outbox{10};
    SegmentLog log;
    push_bytes(outbox, 45);
    for (std::uint64_t number = 1; number <= 4; ++number) EXPECT_EQ(log.next(outbox)->number, number);
    ASSERT_TRUE(log.resume(2));
    EXPECT_EQ(log.next(outbox)->segment.offset, 20U);
    EXPECT_EQ(log.next(outbox)->segment.offset, 30U);
    EXPECT_EQ(log.next(outbox)->segment.offset, 40U);
    EXPECT_FALSE(log.next(outbox).has_value());
    EXPECT_FALSE(log.resume(6));
    EXPECT_FALSE(log.resume(1));
    EXPECT_TRUE(log.resume(5));
    EXPECT_FALSE(log.has_next(outbox));
}

/// A sender, a receiver that counts segments, connections that lose what is under way at any moment.
TEST(SegmentLog, NoSegmentIsLostOrDoubledWhicheverConnectionBreaksWhen) {
    constexpr std::size_t stream_count = 3;
    for (std::uint32_t seed = 1; seed <= 200; ++seed) {
        std::mt19937 random{seed};
        LaneOutbox outbox{16};
        std::vector<SegmentLog> streams(stream_count);
        std::vector<std::deque<SegmentLog::Numbered>> wire(stream_count);
        std::vector<std::uint64_t> received(stream_count, 0);
        std::map<std::uint64_t, std::set<std::uint64_t>> offsets;
        std::map<std::uint64_t, std::size_t> sizes;
        std::map<std::uint64_t, std::uint64_t> bytes;
        std::uint64_t pushed = 0;
        std::uint64_t accepted = 0;
        while (accepted < 40) {
            const std::size_t stream = random() % stream_count;
            switch (random() % 5) {
                case 0:
                    if (pushed < 40) sizes[++pushed] = random() % 100, push_bytes(outbox, sizes[pushed]);
                    break;
                case 1:
                    if (const auto next = streams[stream].next(outbox)) wire[stream].push_back(*next);
                    break;
                case 2:
                    if (wire[stream].empty()) break;
                    ASSERT_EQ(wire[stream].front().number, received[stream] + 1);
                    ++received[stream];
                    {
                        const Segment& segment = wire[stream].front().segment;
                        ASSERT_TRUE(offsets[segment.frame->number].insert(segment.offset).second) << "seed " << seed;
                        bytes[segment.frame->number] += segment.length;
                    }
                    wire[stream].pop_front();
                    break;
                case 3:
                    if (random() % 4 != 0) break;
                    wire[stream].clear();
                    ASSERT_TRUE(streams[stream].resume(received[stream]));
                    break;
                default:
                    while (accepted < pushed && !offsets[accepted + 1].empty() &&
                           bytes[accepted + 1] == sizes[accepted + 1])
                        ++accepted;
                    accept_up_to(outbox, streams, random() % (accepted + 1));
            }
        }
        accept_up_to(outbox, streams, accepted);
        EXPECT_EQ(outbox.retained_frames(), pushed - accepted);
    }
}

}  // namespace
}  // namespace phoenix
