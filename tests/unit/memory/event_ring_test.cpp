#include "memory/event_ring.hpp"

#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "unit/memory/test_job.hpp"

namespace phoenix {
namespace {

using testing_tools::ChildProcess;
using testing_tools::TestJob;

std::vector<std::uint64_t> details_of(EventReader& reader) {
    std::vector<std::uint64_t> details;
    while (const auto event = reader.next()) details.push_back(event->detail);
    return details;
}

TEST(EventRingTest, EventsComeInOrderAndWhole) {
    const TestJob job;
    EventReader reader{job.segment};
    EXPECT_FALSE(reader.next());
    record_event(job.segment, EventKind::adopted, 3, ~std::uint64_t{0}, 7, 1ULL << 40);
    record_event(job.segment, EventKind::phase_begun, 1, 2);
    const auto first = reader.next();
    ASSERT_TRUE(first);
    EXPECT_EQ(first->kind, EventKind::adopted);
    EXPECT_EQ(first->subject, 3U);
    EXPECT_EQ(first->detail, ~std::uint64_t{0});
    EXPECT_EQ(first->peer, 7U);
    EXPECT_EQ(first->extra, 1ULL << 40);
    const auto second = reader.next();
    ASSERT_TRUE(second);
    EXPECT_EQ(second->kind, EventKind::phase_begun);
    EXPECT_EQ(second->peer, 0U);
    EXPECT_GE(second->time_ns, first->time_ns);
    EXPECT_FALSE(reader.next());
}

TEST(EventRingTest, TheOldestGiveWayToTheNewest) {
    const TestJob job;
    EventReader reader{job.segment};
    EventReader late{job.segment};
    for (std::uint64_t i = 0; i < 10; ++i) record_event(job.segment, EventKind::fault_fired, 0, i);
    EXPECT_EQ(details_of(reader).size(), 10U);
    for (std::uint64_t i = 10; i < 3 * event_count + 5; ++i) record_event(job.segment, EventKind::fault_fired, 0, i);
    for (EventReader* one : {&reader, &late}) {
        const std::vector<std::uint64_t> details = details_of(*one);
        ASSERT_EQ(details.size(), event_count);
        for (std::uint64_t i = 0; i < event_count; ++i) ASSERT_EQ(details[i], 2 * event_count + 5 + i);
    }
}

TEST(EventRingTest, WhatADeadWriterLeftHalfIsSkippedOnceNewerOnesAreThere) {
    const TestJob job;
    EventReader reader{job.segment};
    for (std::uint64_t i = 0; i <= event_count; ++i) record_event(job.segment, EventKind::fault_fired, 0, i);
    EXPECT_EQ(details_of(reader).size(), event_count);
    // It drew a number, over an event of the round before, and died: once before it marked the place, once after.
    for (const bool marked : {false, true}) {
        const std::uint64_t number = job.segment.header().event_next.fetch_add(1);
        if (marked) {
            EventRecord& record = job.segment.events()[number % event_count];
            record.stamp = 0;
            record.detail = 666;
        }
    }
    EXPECT_FALSE(reader.next()) << "its writer may be at work";
    record_event(job.segment, EventKind::fault_fired, 0, 5000);
    EXPECT_EQ(details_of(reader), std::vector<std::uint64_t>{5000});
}

TEST(EventRingTest, AWriterKilledAnywhereSpoilsNothing) {
    const TestJob job;
    EventReader reader{job.segment};
    std::uint64_t seen = 0;
    for (std::uint32_t round = 1; round <= 20; ++round) {
        ChildProcess child{[&] {
            // As many as the ring holds would overtake the reader, which is another test.
            for (std::uint64_t i = 0; i < event_count / 2; ++i)
                record_event(job.segment, EventKind::member_joined, round, i, static_cast<std::uint32_t>(i), ~i);
            for (;;) pause();
            return 1;
        }};
        std::uint64_t expected = 0;
        const auto look = [&] {
            while (const auto event = reader.next()) {
                if (event->kind == EventKind::member_active) continue;
                EXPECT_EQ(event->subject, round);
                EXPECT_EQ(event->detail, expected);
                EXPECT_EQ(event->peer, expected);
                EXPECT_EQ(event->extra, ~expected);
                ++expected, ++seen;
            }
        };
        while (expected < round * 7 % 50) look();
        ASSERT_EQ(child.killed(), -SIGKILL);
        record_event(job.segment, EventKind::member_active, round, 0);
        look();
        const std::uint64_t drawn = job.segment.header().event_next;
        EXPECT_LE(expected + 1, drawn);
    }
    EXPECT_GT(seen, 0U);
}

TEST(EventRingTest, EventsOfManyWritersStayApart) {
    constexpr std::uint32_t writers = 3;
    constexpr std::uint64_t each = 1000;  // fewer than the ring holds: nothing is overwritten
    const TestJob job;
    std::vector<std::thread> threads;
    for (std::uint32_t writer = 0; writer < writers; ++writer)
        threads.emplace_back([&, writer] {
            for (std::uint64_t i = 0; i < each; ++i)
                record_event(job.segment, EventKind::adopted, writer, i, writer, i * 3);
        });
    std::vector<std::uint64_t> next(writers, 0);
    EventReader reader{job.segment};
    const auto look = [&] {
        while (const auto event = reader.next()) {
            ASSERT_LT(event->subject, writers);
            ASSERT_EQ(event->peer, event->subject);
            ASSERT_EQ(event->extra, event->detail * 3);
            // Grows; one that was not complete in time is skipped.
            ASSERT_GE(event->detail, next[event->subject]);
            next[event->subject] = event->detail + 1;
        }
    };
    while (job.segment.header().event_next < writers * each) look();
    for (std::thread& thread : threads) thread.join();
    look();
    EventReader again{job.segment};
    EXPECT_EQ(details_of(again).size(), writers * each);
}

}  // namespace
}  // namespace phoenix
