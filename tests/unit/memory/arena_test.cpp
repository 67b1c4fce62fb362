#include "memory/arena.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <sys/mman.h>
#include <vector>

#include "unit/memory/test_job.hpp"

namespace phoenix {
namespace {

using testing::HasSubstr;
using testing_tools::ChildProcess;
using testing_tools::TestJob;
using testing_tools::value_or_throw;

constexpr std::uint64_t mebibyte = 1ULL << 20;

TEST(ArenaTest, GivesOutZeroedPagesThatEveryMappingSees) {
    const TestJob job;
    const Arena other = job.map_again();
    const std::uint64_t first = value_or_throw(job.arena.reserve(1));
    const std::uint64_t second = value_or_throw(other.reserve(5000));
    const std::uint64_t third = value_or_throw(job.arena.reserve(4096));
    EXPECT_GE(first, extent_table_end);
    EXPECT_EQ(second, first + 4096);
    EXPECT_EQ(third, second + 8192);
    EXPECT_TRUE(
        std::all_of(job.arena.at(first), job.arena.at(third + 4096), [](std::byte b) { return b == std::byte{0}; }));
    job.arena.object<std::uint64_t>(third) = 42;
    EXPECT_EQ(other.object<std::uint64_t>(third), 42U);
    EXPECT_EQ(other.offset_of(other.at(third)), third);
}

TEST(ArenaTest, ExhaustionIsASentenceAndTakesNothing) {
    const TestJob job{8 * mebibyte};
    const std::uint64_t before = job.segment.header().arena_end;
    ASSERT_TRUE(job.arena.reserve(4 * mebibyte));
    const auto refused = job.arena.reserve(4 * mebibyte + 1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::no_memory);
    EXPECT_THAT(refused.error().sentence, HasSubstr("5 MiB more are needed"));
    EXPECT_EQ(job.segment.header().arena_end, before + 4 * mebibyte);
    const std::uint64_t last = value_or_throw(job.arena.reserve(4 * mebibyte));
    job.arena.object<std::uint64_t>(last + 4 * mebibyte - 8) = 1;  // the last word is mapped and allocated
    EXPECT_FALSE(job.arena.reserve(1));
}

TEST(ArenaTest, MoreThanTheMachineHasIsRefusedBeforeItIsTouched) {
    const TestJob job;
    const auto refused = job.arena.reserve(job.arena.size_max() - extent_table_end - mebibyte);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::no_memory);
    EXPECT_TRUE(job.arena.reserve(1));
}

TEST(ArenaTest, TheNamedOneIsFoundByNameAndGoesWithTheJob) {
    std::string name;
    {
        TestJob job{8 * mebibyte, true};
        name = arena_name(job.segment.job_id());
        EXPECT_FALSE(Arena::create(job.segment, true)) << "a second one would hide the first";
        job.segment.header().arena_size_max = extent_table_end + 8 * mebibyte;
        const std::uint64_t place = value_or_throw(job.arena.reserve(8));
        job.arena.object<std::uint64_t>(place) = 17;
        const Arena other = value_or_throw(Arena::map(job.segment, value_or_throw(Arena::open_named(job.segment))));
        EXPECT_EQ(other.object<std::uint64_t>(place), 17U);
    }
    EXPECT_FALSE(FileDescriptor{shm_open(name.c_str(), O_RDWR | O_CLOEXEC, 0)}.valid());
}

TEST(ArenaTest, AForkedProcessDoesNotKeepTheMapping) {
    const TestJob job;
    const std::uint64_t place = value_or_throw(job.arena.reserve(8));
    ChildProcess child{[&] {
        unsigned char resident = 0;
        return mincore(job.arena.at(place), 4096, &resident) != 0 && errno == ENOMEM ? 0 : 1;
    }};
    EXPECT_EQ(child.ended(), 0);
}

/// Whether the page at `place` is in this process's page table.
bool is_entered(const std::byte* place) {
    const FileDescriptor map{open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)};
    std::uint64_t entry = 0;
    const auto page = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(place) / 4096);
    if (pread(map.get(), &entry, sizeof entry, page * 8) != 8) throw std::runtime_error{"cannot read pagemap"};
    return (entry >> 63) != 0;
}

TEST(ArenaTest, PopulatesInPiecesAndAgainAfterGrowth) {
    const TestJob job;
    Arena other = job.map_again();
    const std::uint64_t first = value_or_throw(job.arena.reserve(4 * mebibyte));
    const std::byte* const last_page = other.at(first + 4 * mebibyte - 4096);
    ASSERT_FALSE(is_entered(last_page));
    const bool more = other.populate_some(mebibyte);
    if (!is_entered(other.at(first))) GTEST_SKIP() << "this kernel populates on first touch only";
    EXPECT_TRUE(more);
    EXPECT_FALSE(is_entered(last_page)) << "more than was asked for at once";
    EXPECT_TRUE(other.populate_some(mebibyte));
    EXPECT_TRUE(other.populate_some(mebibyte));
    EXPECT_FALSE(other.populate_some(mebibyte));
    EXPECT_TRUE(is_entered(last_page));
    EXPECT_FALSE(other.populate_some(mebibyte));
    const std::uint64_t second = value_or_throw(job.arena.reserve(8192));
    EXPECT_FALSE(other.populate_some(mebibyte));
    EXPECT_TRUE(is_entered(other.at(second)) && is_entered(other.at(second + 4096)));
}

struct Range {
    std::uint64_t begin;
    std::uint64_t size;
};

/// Reserves pieces of random size, writes `mark` into each page and lists the pieces at `list`.
void reserve_many(const Arena& arena, std::uint64_t mark, Range* list, std::size_t count) {
    std::mt19937 random{static_cast<unsigned>(mark)};
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t size = 4096 * (1 + random() % 5);
        list[i] = {value_or_throw(arena.reserve(size)), size};
        for (std::uint64_t page = 0; page < size; page += 4096)
            arena.object<std::uint64_t>(list[i].begin + page) = mark;
    }
}

TEST(ArenaTest, TwoProcessesGetDisjointRangesAndLoseNone) {
    constexpr std::size_t count = 500;
    const TestJob job;
    const std::uint64_t lists = value_or_throw(job.arena.reserve(2 * count * sizeof(Range)));
    const std::uint64_t begin = job.segment.header().arena_end;
    ChildProcess child{[&] {
        const Arena own = job.map_again();
        job.segment.member(1).steps = 1;
        while (job.segment.member(0).steps == 0) sched_yield();
        reserve_many(own, 2, &own.object<Range>(lists) + count, count);
        return 0;
    }};
    while (job.segment.member(1).steps == 0) sched_yield();
    job.segment.member(0).steps = 1;
    auto* list = &job.arena.object<Range>(lists);
    reserve_many(job.arena, 1, list, count);
    ASSERT_EQ(child.ended(), 0);
    for (std::size_t i = 0; i < 2 * count; ++i)
        for (std::uint64_t page = 0; page < list[i].size; page += 4096)
            ASSERT_EQ(job.arena.object<std::uint64_t>(list[i].begin + page), i < count ? 1U : 2U);
    std::sort(list, list + 2 * count, [](const Range& a, const Range& b) { return a.begin < b.begin; });
    std::uint64_t expected = begin;
    for (std::size_t i = 0; i < 2 * count; ++i) {
        ASSERT_EQ(list[i].begin, expected);
        expected += list[i].size;
    }
    EXPECT_EQ(job.segment.header().arena_end, expected);
}

}  // namespace
}  // namespace phoenix
