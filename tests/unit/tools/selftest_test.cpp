#include "pflight/selftest/stream_checker.hpp"
#include "pflight/selftest/traffic.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <vector>

namespace phoenix::pflight::selftest {
namespace {

constexpr std::uint64_t seed = 7;
constexpr Stream stream{3, 5, 1};

std::vector<std::byte> message(std::uint64_t sequence) {
    std::vector<std::byte> bytes(size_of_message(seed, stream, sequence));
    write_message(seed, stream, sequence, bytes);
    return bytes;
}

/// What a checker says of messages with these numbers.
Totals totals_of(const std::vector<std::uint64_t>& sequences) {
    StreamState state;
    Totals totals;
    for (const std::uint64_t sequence : sequences) take_message(seed, stream, message(sequence), state, totals);
    EXPECT_EQ(totals.messages, sequences.size());
    return totals;
}

void expect(const Totals& totals, std::uint64_t lost, std::uint64_t duplicated, std::uint64_t reordered,
            std::uint64_t damaged) {
    EXPECT_EQ(totals.lost, lost);
    EXPECT_EQ(totals.duplicated, duplicated);
    EXPECT_EQ(totals.reordered, reordered);
    EXPECT_EQ(totals.damaged, damaged);
    EXPECT_EQ(totals.good(), lost + duplicated + reordered + damaged == 0);
}

TEST(StreamChecker, OnceAndInOrderIsGood) {
    std::vector<std::uint64_t> all(1000);
    for (std::uint64_t i = 0; i < all.size(); ++i) all[i] = i;
    const Totals totals = totals_of(all);
    expect(totals, 0, 0, 0, 0);
    EXPECT_EQ(totals.first_fault, Fault::none);
    EXPECT_GT(totals.bytes, all.size() * message_size_min);
}

TEST(StreamChecker, TellsWhatIsWrong) {
    expect(totals_of({0, 1, 3, 4}), 1, 0, 0, 0);
    expect(totals_of({2}), 2, 0, 0, 0);
    expect(totals_of({0, 1, 1, 2}), 0, 1, 0, 0);
    expect(totals_of({0, 0, 0}), 0, 2, 0, 0);
    expect(totals_of({0, 2, 1, 3}), 0, 0, 1, 0);
    expect(totals_of({3, 2, 1, 0, 4}), 0, 0, 3, 0);
    expect(totals_of({0, 2, 1, 1, 3}), 0, 1, 1, 0);  // late, and then once more
    expect(totals_of({0, 5, 2}), 3, 0, 1, 0);
}

TEST(StreamChecker, NamesTheFirstThatIsWrong) {
    const Totals lost = totals_of({0, 1, 4, 4});
    EXPECT_EQ(lost.first_fault, Fault::lost);
    EXPECT_EQ(lost.first_sequence, 2U);
    EXPECT_EQ(lost.first_stream, stream);
    const Totals reordered = totals_of({0, 2, 1, 1});
    EXPECT_EQ(reordered.first_fault, Fault::reordered);
    EXPECT_EQ(reordered.first_sequence, 1U);
    EXPECT_EQ(totals_of({0, 1, 1}).first_fault, Fault::duplicated);
}

TEST(StreamChecker, RemembersGapsForAWhileOnly) {
    std::vector<std::uint64_t> sequences{0};
    for (std::uint64_t i = 2; i < 100; ++i) sequences.push_back(i);
    sequences.push_back(1);
    expect(totals_of(sequences), 1, 1, 0, 0);
    std::vector<std::uint64_t> close(sequences.begin(), sequences.begin() + 50);
    close.push_back(1);
    expect(totals_of(close), 0, 0, 1, 0);
    expect(totals_of({0, 1'000'000, 999'999}), 999'998, 0, 1, 0);
}

TEST(StreamChecker, EveryDamagedByteIsSeen) {
    for (std::uint64_t sequence = 0; sequence < 20; ++sequence) {
        const std::vector<std::byte> good = message(sequence);
        for (std::size_t at = 0; at < std::min<std::size_t>(good.size(), 200); ++at) {
            std::vector<std::byte> bad = good;
            bad[at] ^= std::byte{1};
            StreamState state{sequence, ~std::uint64_t{0}};
            Totals totals;
            take_message(seed, stream, bad, state, totals);
            expect(totals, 0, 0, 0, 1);
            EXPECT_EQ(state.expected, sequence + 1);
        }
        std::vector<std::byte> cut(good.begin(), good.end() - 1);
        EXPECT_FALSE(read_message(seed, stream, cut).whole);
    }
    EXPECT_FALSE(read_message(seed, stream, {}).sequence);
}

TEST(StreamChecker, MessagesOfOtherStreamsAreDamaged) {
    for (const Stream& other : {Stream{4, 5, 1}, Stream{3, 6, 1}, Stream{3, 5, 2}, Stream{5, 3, 1}})
        EXPECT_FALSE(read_message(seed, other, message(9)).sequence);
    EXPECT_FALSE(read_message(seed + 1, stream, message(9)).sequence);
    EXPECT_EQ(read_message(seed, stream, message(9)).sequence, 9U);
}

TEST(StreamChecker, TotalsAddUp) {
    Totals all = totals_of({0, 1});
    all.add(totals_of({0, 2}));
    all.add(totals_of({0, 0}));
    EXPECT_EQ(all.messages, 6U);
    expect(all, 1, 1, 0, 0);
    EXPECT_EQ(all.first_fault, Fault::lost);
}

TEST(SelftestStream, MessagesAreOfAllKindsThatALogKnows) {
    std::size_t inlined = 0;
    std::size_t in_chunk = 0;
    std::size_t in_extent = 0;
    constexpr std::uint64_t count = 10'000;
    for (std::uint64_t sequence = 0; sequence < count; ++sequence) {
        const std::size_t size = size_of_message(seed, stream, sequence);
        EXPECT_GE(size, message_size_min);
        EXPECT_LE(size, message_size_max);
        ++(size <= 24 ? inlined : size <= 16384 ? in_chunk : in_extent);
    }
    EXPECT_GT(inlined, count / 3);
    EXPECT_GT(in_chunk, count / 3);
    EXPECT_GT(in_extent, count / 1000);
}

TEST(Traffic, BothSidesKnowWhoSendsToWhom) {
    for (const std::uint32_t vnodes : {2U, 12U, 31U, 32U}) {
        const Traffic traffic{seed, vnodes};
        std::map<std::uint32_t, std::size_t> partners_of_0;
        for (std::uint64_t step = 0; step < 200; ++step) {
            std::vector<bool> turns(tag_count);
            for (std::uint32_t tag = 0; tag < tag_count; ++tag) {
                turns[Traffic::tag_of(step, tag)] = true;
                std::vector<bool> reached(vnodes);
                for (std::uint32_t source = 0; source < vnodes; ++source) {
                    const std::uint32_t destination = traffic.destination_of(step, tag, source);
                    ASSERT_LT(destination, vnodes);
                    reached[destination] = true;
                    ASSERT_EQ(traffic.source_of(step, tag, destination), source);
                }
                EXPECT_THAT(reached, testing::Each(true));
                ++partners_of_0[traffic.destination_of(step, tag, 0)];
            }
            EXPECT_THAT(turns, testing::Each(true));
        }
        EXPECT_EQ(partners_of_0.size(), vnodes) << "everybody writes to everybody in time";
    }
}

TEST(Traffic, IsAsMuchAsWasAskedFor) {
    const Traffic traffic{seed, 32};
    EXPECT_EQ(traffic.steps_for(1), 1U);
    EXPECT_EQ(traffic.steps_for(std::uint64_t{32} * tag_count * burst_size), 1U);
    EXPECT_EQ(traffic.steps_for(std::uint64_t{32} * tag_count * burst_size + 1), 2U);
}

}  // namespace
}  // namespace phoenix::pflight::selftest
