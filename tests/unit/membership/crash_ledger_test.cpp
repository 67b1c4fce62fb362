#include "membership/crash_ledger.hpp"

#include <gtest/gtest.h>

namespace phoenix {
namespace {

constexpr CrashKey step_five{0, VNodeId{7}, 5};

ExecutorDeath death_of(std::uint32_t slot, bool own_fault) {
    return ExecutorDeath{MemberSlot{slot}, Incarnation{1}, own_fault ? 11 : 9, own_fault};
}

TEST(CrashLedger, TwoOwnFaultsAtTheSameStepEndTheRun) {
    CrashLedger ledger;
    EXPECT_EQ(verdict(ledger.record(step_five, death_of(1, true)), 5), CrashVerdict::go_on);
    const CrashEntry& entry = ledger.record(step_five, death_of(2, true));
    EXPECT_EQ(verdict(entry, 5), CrashVerdict::ends_run);
    EXPECT_EQ(entry.deaths[1].signal, 11);
}

TEST(CrashLedger, ThreeDeathsOfAnyKindEndTheRun) {
    CrashLedger ledger;
    EXPECT_EQ(verdict(ledger.record(step_five, death_of(1, false)), 5), CrashVerdict::go_on);
    EXPECT_EQ(verdict(ledger.record(step_five, death_of(2, true)), 5), CrashVerdict::go_on);
    EXPECT_EQ(verdict(ledger.record(step_five, death_of(3, false)), 5), CrashVerdict::ends_run);
}

TEST(CrashLedger, ADeathRecordedTwiceCountsOnce) {
    CrashLedger ledger;
    ledger.record(step_five, death_of(1, true));
    const CrashEntry& entry = ledger.record(step_five, death_of(1, true));
    EXPECT_EQ(entry.count, 1U);
    EXPECT_EQ(verdict(entry, 5), CrashVerdict::go_on);
    ExecutorDeath next_life = death_of(1, true);
    next_life.incarnation = Incarnation{2};
    EXPECT_EQ(verdict(ledger.record(step_five, next_life), 5), CrashVerdict::ends_run);
}

TEST(CrashLedger, ACommitOfTheStepClearsTheVNode) {
    CrashLedger ledger;
    ledger.record(step_five, death_of(1, true));
    const CrashEntry& entry = ledger.record(step_five, death_of(2, true));
    EXPECT_EQ(verdict(entry, 6), CrashVerdict::go_on);
}

TEST(CrashLedger, AnotherStepOrVNodeIsAnotherMatter) {
    CrashLedger ledger;
    ledger.record(step_five, death_of(1, true));
    EXPECT_EQ(ledger.record(CrashKey{0, VNodeId{8}, 5}, death_of(2, true)).count, 1U);
    EXPECT_EQ(ledger.record(CrashKey{1, VNodeId{7}, 5}, death_of(3, true)).count, 1U);
    EXPECT_EQ(ledger.record(CrashKey{0, VNodeId{7}, 6}, death_of(4, true)).count, 1U);
}

TEST(CrashLedger, TheOrderInWhichDeathsAreRecordedDoesNotMatter) {
    CrashLedger ledger;
    const CrashKey earlier{0, VNodeId{7}, 3};
    ledger.record(step_five, death_of(1, true));
    EXPECT_EQ(verdict(ledger.record(earlier, death_of(2, true)), 5), CrashVerdict::go_on);
    EXPECT_EQ(verdict(ledger.record(step_five, death_of(3, true)), 5), CrashVerdict::ends_run);
}

TEST(CrashLedger, AFullTableGivesUpItsOldestEntry) {
    CrashLedger ledger;
    for (std::uint32_t v = 0; v < CrashLedger::capacity; ++v) {
        ledger.record(CrashKey{0, VNodeId{v}, 1}, death_of(1, true));
    }
    EXPECT_EQ(ledger.record(CrashKey{0, VNodeId{1000}, 1}, death_of(2, true)).count, 1U);
    EXPECT_EQ(ledger.record(CrashKey{0, VNodeId{1}, 1}, death_of(2, true)).count, 2U) << "the second is still there";
    EXPECT_EQ(ledger.record(CrashKey{0, VNodeId{0}, 1}, death_of(2, true)).count, 1U) << "the first was given up";
}

TEST(CrashLedger, AnEmptyEntryHoldsNothingAgainstAnybody) { EXPECT_EQ(verdict(CrashEntry{}, 0), CrashVerdict::go_on); }

}  // namespace
}  // namespace phoenix
