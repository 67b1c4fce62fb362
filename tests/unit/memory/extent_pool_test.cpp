#include "memory/extent_pool.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
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

class ExtentPoolTest : public testing::Test {
  protected:
    ExtentId allocate(ExtentPool& from, std::uint64_t bytes, ExtentKind kind = ExtentKind::state) {
        return value_or_throw(from.allocate(bytes, kind));
    }
    [[nodiscard]] ExtentOwner owner(ExtentId id) const { return ExtentOwner::unpack(pool_.owner_word(id)); }

    TestJob job_;
    ExtentPool pool_{job_.segment, job_.arena, 3};
};

TEST(ExtentOwnerTest, FieldsDoNotMeet) {
    const ExtentOwner full{ExtentKind::lasting, 0xFFF, 0x3F, 0xFFFFFF, 0x3FFFF};
    for (int one = 0; one < 5; ++one) {
        ExtentOwner owner{};
        if (one == 0) owner.kind = full.kind;
        if (one == 1) owner.slot = full.slot;
        if (one == 2) owner.domain = full.domain;
        if (one == 3) owner.vnode = full.vnode;
        if (one == 4) owner.version = full.version;
        const ExtentOwner back = ExtentOwner::unpack(owner.pack());
        EXPECT_EQ(back.kind, owner.kind);
        EXPECT_EQ(back.slot, owner.slot);
        EXPECT_EQ(back.domain, owner.domain);
        EXPECT_EQ(back.vnode, owner.vnode);
        EXPECT_EQ(back.version, owner.version);
    }
    EXPECT_EQ(ExtentOwner::unpack(0).kind, ExtentKind::unborn);
}

TEST_F(ExtentPoolTest, AnExtentHoldsWhatWasAskedForAndNoOtherBytes) {
    const std::vector<std::uint64_t> sizes{0, 1, 255, 256, 257, 4096, 4097, 65536, 1U << 20, (1U << 20) + 1};
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
    for (int repeat = 0; repeat < 3; ++repeat) {
        for (const std::uint64_t bytes : sizes) {
            const ExtentId id = allocate(pool_, bytes);
            EXPECT_GE(pool_.size(id), std::max<std::uint64_t>(bytes, 256));
            EXPECT_TRUE(bytes <= 256 || pool_.size(id) < 2 * bytes);
            EXPECT_EQ(pool_.data(id), job_.arena.at(pool_.offset(id)));
            ranges.emplace_back(pool_.offset(id), pool_.offset(id) + pool_.size(id));
        }
    }
    std::sort(ranges.begin(), ranges.end());
    EXPECT_GE(ranges.front().first, extent_table_end);
    for (std::size_t i = 1; i < ranges.size(); ++i) EXPECT_LE(ranges[i - 1].second, ranges[i].first);
    EXPECT_LE(ranges.back().second, job_.segment.header().arena_end);
}

TEST_F(ExtentPoolTest, TheOwnerWordSaysWhoseItIs) {
    const ExtentId id = value_or_throw(pool_.allocate(1000, ExtentKind::payload, 5, 77));
    const ExtentOwner first = owner(id);
    EXPECT_EQ(first.kind, ExtentKind::payload);
    EXPECT_EQ(first.slot, 3U);
    EXPECT_EQ(first.domain, 5U);
    EXPECT_EQ(first.vnode, 77U);
    pool_.assign(id, ExtentKind::lasting, 6, 78);
    EXPECT_EQ(owner(id).vnode, 78U);
    EXPECT_GT(owner(id).version, first.version);
    pool_.free(id);
    EXPECT_EQ(owner(id).kind, ExtentKind::cached);
}

TEST_F(ExtentPoolTest, WhatIsFreedIsUsedFirst) {
    const ExtentId id = allocate(pool_, 5000);
    allocate(pool_, 5000);
    const std::uint64_t before = pool_.owner_word(id);
    pool_.free(id);
    EXPECT_EQ(allocate(pool_, 8192), id);
    EXPECT_NE(pool_.owner_word(id), before) << "a sweeper with the old word must not free the new use";
    EXPECT_NE(allocate(pool_, 8192), id);
}

TEST_F(ExtentPoolTest, WhatOneDoesNotNeedGoesToTheOthers) {
    std::vector<ExtentId> ids(200);
    for (ExtentId& id : ids) id = allocate(pool_, 65536);
    const std::uint32_t count = pool_.count();
    for (const ExtentId id : ids) pool_.free(id);
    const Arena mapped = job_.map_again();
    ExtentPool other{job_.segment, mapped, 4};
    std::set<ExtentId> taken;
    for (int i = 0; i < 100; ++i) {
        const ExtentId id = allocate(other, 65536);
        EXPECT_EQ(ExtentOwner::unpack(other.owner_word(id)).slot, 4U);
        EXPECT_TRUE(taken.insert(id).second);
    }
    EXPECT_EQ(other.count(), count) << "new memory was taken although there was free memory";
    for (int i = 0; i < 64; ++i) EXPECT_TRUE(taken.insert(allocate(pool_, 65536)).second);
}

TEST_F(ExtentPoolTest, HugeExtentsAreNotKeptByOne) {
    const ExtentId id = allocate(pool_, 64ULL << 20);
    pool_.free(id);
    const Arena mapped = job_.map_again();
    ExtentPool other{job_.segment, mapped, 4};
    EXPECT_EQ(allocate(other, 64ULL << 20), id);
}

TEST_F(ExtentPoolTest, OnlyLogMemoryCountsAsHeld) {
    const ExtentId state = allocate(pool_, 1000, ExtentKind::state);
    EXPECT_EQ(pool_.held_bytes(), 0U);
    const ExtentId payload = allocate(pool_, 1000, ExtentKind::payload);
    EXPECT_EQ(pool_.held_bytes(), 1024U);
    const ExtentId chunk = allocate(pool_, 65536, ExtentKind::cached);
    EXPECT_EQ(pool_.held_bytes(), 1024U);
    pool_.assign(chunk, ExtentKind::chunk, 0, 0);
    EXPECT_EQ(pool_.held_bytes(), 1024U + 65536);
    pool_.free(state);
    pool_.free(payload);
    EXPECT_EQ(pool_.held_bytes(), 65536U);
    pool_.free(chunk);
    EXPECT_EQ(pool_.held_bytes(), 0U);
}

TEST_F(ExtentPoolTest, TheSweeperFreesOnlyWhatItSaw) {
    const ExtentId id = allocate(pool_, 65536, ExtentKind::payload);
    const std::uint64_t seen = pool_.owner_word(id);
    pool_.assign(id, ExtentKind::payload, 0, 0);
    EXPECT_FALSE(pool_.free_swept(id, seen)) << "it has a new use";
    const std::uint64_t now = pool_.owner_word(id);
    const Arena mapped = job_.map_again();
    ExtentPool sweeper{job_.segment, mapped, 4};
    EXPECT_TRUE(sweeper.free_swept(id, now));
    EXPECT_FALSE(pool_.free_swept(id, now)) << "freed twice, it would be given out twice";
    EXPECT_EQ(allocate(sweeper, 65536), id);
    EXPECT_NE(allocate(sweeper, 65536), id);
}

TEST_F(ExtentPoolTest, ForEachVisitsWhatSomebodyHas) {
    const ExtentId state = allocate(pool_, 300);
    const ExtentId lasting = allocate(pool_, 300, ExtentKind::lasting);
    const ExtentId cached = allocate(pool_, 300);
    const ExtentId swept = allocate(pool_, 300);
    pool_.free(cached);
    ASSERT_TRUE(pool_.free_swept(swept, pool_.owner_word(swept)));
    std::set<ExtentId> visited;
    pool_.for_each([&](ExtentId id, std::uint64_t word, const ExtentOwner& who) {
        visited.insert(id);
        EXPECT_EQ(word, pool_.owner_word(id));
        EXPECT_EQ(who.slot, 3U);
    });
    EXPECT_EQ(visited, (std::set<ExtentId>{state, lasting, cached}));
    EXPECT_GT(pool_.count(), 4U) << "the rest of the group is free";
}

TEST(ExtentPoolSmallTest, ExhaustionIsASentenceAndWhatIsFreedCanBeHad) {
    const TestJob job{4U << 20};
    ExtentPool pool{job.segment, job.arena, 0};
    std::vector<ExtentId> ids;
    auto next = pool.allocate(65536, ExtentKind::chunk);
    for (; next; next = pool.allocate(65536, ExtentKind::chunk)) ids.push_back(*next);
    EXPECT_EQ(next.error().code, Errc::no_memory);
    EXPECT_THAT(next.error().sentence, HasSubstr("exhausted"));
    EXPECT_EQ(ids.size(), 64U);
    pool.free(ids.back());
    EXPECT_EQ(value_or_throw(pool.allocate(65536, ExtentKind::chunk)), ids.back());
    for (const std::uint64_t bytes : {(std::uint64_t{1} << 40) + 1, ~std::uint64_t{0}}) {
        const auto refused = pool.allocate(bytes, ExtentKind::state);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, Errc::no_memory);
    }
}

/// Takes and gives back extents at random, each marked while it is held. A mark is free (0), of somebody known to be
/// dead (a lower life than `oldest_living`) or ours; anything else means that an extent has two owners.
class Worker {
  public:
    Worker(ExtentPool& pool, std::uint64_t life, std::uint64_t oldest_living)
        : pool_(&pool), life_(life), oldest_living_(oldest_living), random_(static_cast<unsigned>(life)) {}

    /// Up to so many more, or so many fewer: mostly more at once than a member's cache holds, so that the free lists of
    /// all are used.
    [[nodiscard]] bool work_once() {
        const std::size_t wanted = random_() % 300;
        while (held_.size() < wanted)
            if (!take()) return false;
        while (held_.size() > wanted)
            if (!give_back()) return false;
        return true;
    }
    /// Marks of lives before this one are no owners any more.
    void forget_before(std::uint64_t life) { oldest_living_ = life; }

  private:
    struct Held {
        ExtentId id;
        std::uint64_t mark;
    };
    [[nodiscard]] std::atomic<std::uint64_t>& mark_of(ExtentId id) const {
        return *reinterpret_cast<std::atomic<std::uint64_t>*>(pool_->data(id));
    }
    [[nodiscard]] bool take() {
        const ExtentId id = value_or_throw(pool_->allocate(9000, ExtentKind::payload));
        const std::uint64_t mark = life_ << 32 | ++taken_;
        const std::uint64_t before = mark_of(id).exchange(mark);
        held_.push_back({id, mark});
        return before >> 32 < oldest_living_;
    }
    [[nodiscard]] bool give_back() {
        std::swap(held_[random_() % held_.size()], held_.back());
        const Held held = held_.back();
        held_.pop_back();
        std::uint64_t expected = held.mark;
        const bool ours = mark_of(held.id).compare_exchange_strong(expected, 0);
        pool_->free(held.id);
        return ours;
    }

    ExtentPool* pool_;
    std::uint64_t life_;
    std::uint64_t oldest_living_;
    std::uint64_t taken_{0};
    std::mt19937 random_;
    std::vector<Held> held_;
};

TEST_F(ExtentPoolTest, TwoProcessesThatGrowThePoolMakeDifferentExtents) {
    constexpr std::size_t each = 150;
    const auto grow = [&](ExtentPool& own, std::uint32_t self, std::uint32_t other) {
        job_.segment.member(self).steps = 1;
        while (job_.segment.member(other).steps == 0) sched_yield();
        for (std::size_t i = 0; i < each; ++i) allocate(own, 1U << 19);
    };
    ChildProcess child{[&] {
        const Arena mapped = job_.map_again();
        ExtentPool theirs{job_.segment, mapped, 9};
        grow(theirs, 9, 3);
        return 0;
    }};
    grow(pool_, 3, 9);
    ASSERT_EQ(child.ended(), 0);
    std::set<std::uint64_t> places;
    std::size_t of_child = 0;
    pool_.for_each([&](ExtentId id, std::uint64_t, const ExtentOwner& who) {
        EXPECT_TRUE(places.insert(pool_.offset(id)).second);
        of_child += who.slot == 9 ? 1 : 0;
    });
    EXPECT_EQ(places.size(), 2 * each) << "each group of two is used up";
    EXPECT_EQ(of_child, each);
}

TEST_F(ExtentPoolTest, NoExtentEverHasTwoOwnersWhileMembersAreKilled) {
    constexpr std::uint64_t own_life = 1'000'000;  // never below the oldest living one
    Worker own{pool_, own_life, 1};
    std::mt19937 random{7};
    for (std::uint64_t life = 1; life <= 40; ++life) {
        std::atomic<std::uint64_t>& started = job_.segment.member(9).steps;
        started = 0;
        ChildProcess child{[&] {
            const Arena mapped = job_.map_again();
            ExtentPool theirs{job_.segment, mapped, 9};
            Worker worker{theirs, life, life};
            for (;;) {
                if (!worker.work_once()) return 1;
                started.fetch_add(1, std::memory_order_relaxed);
            }
            return 0;
        }};
        while (started == 0) ASSERT_TRUE(own.work_once());
        for (std::uint64_t until = started + random() % 100; started < until;) ASSERT_TRUE(own.work_once());
        ASSERT_EQ(child.killed(), -SIGKILL) << "the child met an extent that somebody else holds";
        own.forget_before(life + 1);
        pool_.for_each([&](ExtentId id, std::uint64_t word, const ExtentOwner& who) {
            if (who.slot != 9) return;
            EXPECT_TRUE(pool_.free_swept(id, word));
        });
    }
    // What the free lists hold is there once.
    std::set<ExtentId> taken;
    const std::uint32_t count = pool_.count();
    while (pool_.count() == count) ASSERT_TRUE(taken.insert(allocate(pool_, 9000)).second);
}

}  // namespace
}  // namespace phoenix
