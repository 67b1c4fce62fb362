#include "memory/once_cells.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <thread>
#include <vector>

#include "unit/memory/test_job.hpp"

namespace phoenix {
namespace {

using testing::HasSubstr;
using testing_tools::ChildProcess;
using testing_tools::TestJob;
using testing_tools::value_or_throw;

const auto nobody_is_dead = [](std::uint32_t, std::uint32_t) { return false; };

TEST(OnceCellsTest, ANameHasOneCellForEverybody) {
    const TestJob job;
    OnceCell* const one = value_or_throw(find_once_cell(job.segment, "one"));
    OnceCell* const two = value_or_throw(find_once_cell(job.segment, "two"));
    EXPECT_NE(one, two);
    EXPECT_EQ(value_or_throw(find_once_cell(job.segment, "one")), one);
    EXPECT_STREQ(one->name.data(), "one");
    const ControlSegment other = value_or_throw(ControlSegment::attach(job.segment.job_id()));
    EXPECT_EQ(value_or_throw(find_once_cell(other, "two")) - other.once_cells().data(),
              two - job.segment.once_cells().data());
}

TEST(OnceCellsTest, OneClaimsAndTheOthersWait) {
    const TestJob job;
    OnceCell& cell = *value_or_throw(find_once_cell(job.segment, "once"));
    EXPECT_EQ(claim_once(cell, {0, 0}, nobody_is_dead), OnceStatus::claimed);
    EXPECT_EQ(claim_once(cell, {1, 0}, nobody_is_dead), OnceStatus::elsewhere);
    EXPECT_EQ(claim_once(cell, {0, 1}, nobody_is_dead), OnceStatus::elsewhere) << "the slot's next member is another";
    EXPECT_EQ(claim_once(cell, {0, 0}, nobody_is_dead), OnceStatus::claimed) << "it goes on where it was";
}

TEST(OnceCellsTest, WhatIsRecordedStays) {
    const TestJob job;
    OnceCell& cell = *value_or_throw(find_once_cell(job.segment, "once"));
    ASSERT_EQ(claim_once(cell, {4, 2}, nobody_is_dead), OnceStatus::claimed);
    record_once(cell, 8192, 100);
    const auto all_are_dead = [](std::uint32_t, std::uint32_t) { return true; };
    for (const Claimant self : {Claimant{4, 2}, Claimant{5, 1}})
        EXPECT_EQ(claim_once(cell, self, all_are_dead), OnceStatus::recorded);
    EXPECT_EQ(cell.result_offset, 8192U);
    EXPECT_EQ(cell.result_size, 100U);
}

TEST(OnceCellsTest, TheDeadAreAskedForBySlotAndIncarnation) {
    const TestJob job;
    OnceCell& cell = *value_or_throw(find_once_cell(job.segment, "once"));
    ASSERT_EQ(claim_once(cell, {255, 0xFFFFFFFF}, nobody_is_dead), OnceStatus::claimed);
    int asked = 0;
    const auto dead = [&](std::uint32_t slot, std::uint32_t incarnation) {
        ++asked;
        EXPECT_EQ(slot, 255U);
        EXPECT_EQ(incarnation, 0xFFFFFFFFU);
        return true;
    };
    EXPECT_EQ(claim_once(cell, {3, 1}, dead), OnceStatus::claimed);
    EXPECT_EQ(asked, 1);
    EXPECT_EQ(claim_once(cell, {2, 1}, nobody_is_dead), OnceStatus::elsewhere);
}

TEST(OnceCellsTest, OfTwoThatSucceedTheDeadOneDoesIt) {
    const TestJob job;
    OnceCell& cell = *value_or_throw(find_once_cell(job.segment, "once"));
    ASSERT_EQ(claim_once(cell, {9, 1}, nobody_is_dead), OnceStatus::claimed);
    const auto slot_9_is_dead = [](std::uint32_t slot, std::uint32_t) { return slot == 9; };
    OnceStatus other = OnceStatus::elsewhere;
    // The other one is quicker while we find out that the claimant is dead.
    const auto meanwhile = [&](std::uint32_t slot, std::uint32_t incarnation) {
        if (slot == 9) other = claim_once(cell, {1, 1}, slot_9_is_dead);
        return slot_9_is_dead(slot, incarnation);
    };
    EXPECT_EQ(claim_once(cell, {0, 1}, meanwhile), OnceStatus::elsewhere);
    EXPECT_EQ(other, OnceStatus::claimed);
}

TEST(OnceCellsTest, AMemberKilledAtItIsSucceeded) {
    const TestJob job;
    ChildProcess child{[&] {
        OnceCell& cell = *value_or_throw(find_once_cell(job.segment, "once"));
        static_cast<void>(claim_once(cell, {1, 1}, nobody_is_dead));
        for (;;) pause();
        return 1;
    }};
    OnceCell& cell = *value_or_throw(find_once_cell(job.segment, "once"));
    while (cell.state == 0) sched_yield();
    const ProcessIdentity claimant{child.pid(), start_time_of(child.pid())};
    const auto dead = [&](std::uint32_t, std::uint32_t) { return !is_alive(claimant); };
    EXPECT_EQ(claim_once(cell, {0, 1}, dead), OnceStatus::elsewhere);
    ASSERT_EQ(child.killed(), -SIGKILL);
    EXPECT_EQ(claim_once(cell, {0, 1}, dead), OnceStatus::claimed);
}

TEST(OnceCellsTest, AFullTableRefusesNewNamesAndKnowsTheOldOnes) {
    const TestJob job;
    std::set<const OnceCell*> cells;
    for (std::uint32_t i = 0; i < once_cell_count; ++i)
        cells.insert(value_or_throw(find_once_cell(job.segment, fmt::format("name {}", i))));
    ASSERT_EQ(cells.size(), once_cell_count);
    const auto refused = find_once_cell(job.segment, "one more");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::no_memory);
    EXPECT_THAT(refused.error().sentence, HasSubstr("2048"));
    for (std::uint32_t i = 0; i < once_cell_count; ++i) {
        const std::string name = fmt::format("name {}", i);
        ASSERT_STREQ(value_or_throw(find_once_cell(job.segment, name))->name.data(), name.c_str());
    }
}

TEST(OnceCellsTest, TwoNamesNeverGetOneCell) {
    constexpr std::uint32_t left = 6;
    constexpr int rounds = 3000;
    const TestJob job;
    for (std::uint32_t i = 0; i < once_cell_count - left; ++i)
        static_cast<void>(value_or_throw(find_once_cell(job.segment, fmt::format("name {}", i))));
    // Both look for the few free cells in the same places.
    std::vector<OnceCell*> cells(left);
    std::atomic<int> arrived{0};
    const auto take_half = [&](std::uint32_t half) {
        for (int round = 1; round <= rounds; ++round) {
            ++arrived;
            while (arrived < 4 * round - 2) std::this_thread::yield();
            for (std::uint32_t i = half; i < left; i += 2)
                cells[i] = value_or_throw(find_once_cell(job.segment, fmt::format("raced {}", i)));
            ++arrived;
            while (arrived < 4 * round) std::this_thread::yield();
            if (half == 1) continue;
            EXPECT_EQ(std::set<OnceCell*>(cells.begin(), cells.end()).size(), left) << "round " << round;
            for (OnceCell* cell : cells) cell->key = 0;
        }
    };
    std::thread thread{take_half, 1};
    take_half(0);
    thread.join();
}

TEST(OnceCellsTest, TheLongestNameFitsAndALongerOneIsRefused) {
    const TestJob job;
    const std::string longest(sizeof(OnceCell::name) - 1, 'n');
    EXPECT_STREQ(value_or_throw(find_once_cell(job.segment, longest))->name.data(), longest.c_str());
    const auto refused = find_once_cell(job.segment, longest + "n");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::invalid_argument);
    EXPECT_THAT(refused.error().sentence, HasSubstr("87"));
}

TEST(OnceCellsTest, OfManyAtOnceOneDoesIt) {
    constexpr std::uint32_t racers = 4;
    constexpr int rounds = 300;
    const TestJob job;
    std::vector<std::atomic<int>> arrived(rounds);
    std::vector<std::atomic<int>> done(rounds);
    std::vector<std::thread> threads;
    for (std::uint32_t slot = 0; slot < racers; ++slot) {
        threads.emplace_back([&, slot] {
            for (std::size_t round = 0; round < rounds; ++round) {
                ++arrived[round];
                while (arrived[round] != racers) std::this_thread::yield();
                OnceCell& cell = *value_or_throw(find_once_cell(job.segment, fmt::format("round {}", round)));
                if (claim_once(cell, {slot, 1}, nobody_is_dead) == OnceStatus::claimed) {
                    ++done[round];
                    record_once(cell, round, slot);
                }
                while (claim_once(cell, {slot, 1}, nobody_is_dead) != OnceStatus::recorded) std::this_thread::yield();
                if (cell.result_offset != round) done[round] = -1;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::atomic<int>& count : done) ASSERT_EQ(count, 1);
}

}  // namespace
}  // namespace phoenix
