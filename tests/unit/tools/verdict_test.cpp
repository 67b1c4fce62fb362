#include "pflight/verdict.hpp"

#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace phoenix::pflight {
namespace {

using testing::HasSubstr;

MemberProcess rank(std::uint32_t slot) {
    MemberProcess process;
    process.slot = slot;
    process.ended = true;
    return process;
}

MemberProcess left(std::uint32_t slot) {
    MemberProcess process = rank(slot);
    process.left_in_order = true;
    process.exit_state = 0x100;
    return process;
}

MemberProcess exited(std::uint32_t slot, std::uint32_t status) {
    MemberProcess process = rank(slot);
    process.exit_state = 0x100 | status;
    return process;
}

Verdict verdict(MemberProcess first, MemberProcess second, const std::optional<LastCheckpoint>& checkpoint = {}) {
    std::vector<MemberProcess> processes;
    processes.push_back(std::move(first));
    processes.push_back(std::move(second));
    return verdict_of(processes, checkpoint);
}

TEST(Verdict, OneMemberThatLeftInOrderCompletesTheJob) {
    EXPECT_EQ(verdict(left(0), rank(1)).outcome, Outcome::completed);
    EXPECT_EQ(verdict(left(0), rank(1)).exit_status, 0);
}

TEST(Verdict, LeavingIsNotEnoughWithoutAnExitInOrder) {
    MemberProcess killed_late = left(0);
    killed_late.exit_state = 0;
    EXPECT_EQ(verdict(std::move(killed_late), rank(1)).outcome, Outcome::failed);
    MemberProcess crashed_late = left(0);
    crashed_late.exit_state = 0;
    crashed_late.is_child = true;
    crashed_late.wait_status = SIGSEGV;  // as waitpid() codes an end by a signal
    EXPECT_EQ(verdict(std::move(crashed_late), rank(1)).outcome, Outcome::failed);
}

TEST(Verdict, OneThatWasToJoinAndNeverAttachedFailsNothing) {
    MemberProcess joiner;
    joiner.grown = true;
    joiner.ended = true;
    joiner.is_child = true;
    joiner.wait_status = 1 << 8;  // as waitpid() codes exit status 1
    EXPECT_EQ(verdict(left(0), std::move(joiner)).outcome, Outcome::completed);
}

TEST(Verdict, AnotherExitStatusFailsTheJobEvenIfOthersFinished) {
    const Verdict failed = verdict(left(0), exited(1, 3));
    EXPECT_EQ(failed.outcome, Outcome::failed);
    EXPECT_EQ(failed.exit_status, 3);
    EXPECT_THAT(failed.sentence, HasSubstr("member 1"));
    EXPECT_THAT(failed.sentence, HasSubstr("status 3"));
}

TEST(Verdict, WhatTheParentSawOutweighsWhatTheMemberWrote) {
    MemberProcess process = left(0);
    process.is_child = true;
    process.wait_status = 4 << 8;  // exited with 4 after its last words
    EXPECT_EQ(verdict(std::move(process), rank(1)).exit_status, 4);
}

TEST(Verdict, AllDeadIsCountedBySignalAndSaysHowToGoOn) {
    MemberProcess crashed = rank(1);
    crashed.fault_signal = SIGSEGV;
    const Verdict without = verdict(rank(0), std::move(crashed));
    EXPECT_EQ(without.exit_status, 1);
    EXPECT_THAT(without.sentence, HasSubstr("All 2 members died (1 by SIGKILL, 1 by SIGSEGV)"));
    EXPECT_THAT(without.sentence, HasSubstr("--checkpoint DIR"));
    EXPECT_THAT(verdict(rank(0), rank(1), LastCheckpoint{40, "saved"}).sentence,
                HasSubstr("step 40: go on with --restart saved"));
}

TEST(Verdict, OfANodeOfSeveralSaysWhichOne) {
    std::vector<MemberProcess> processes;
    processes.push_back(exited(1, 3));
    EXPECT_THAT(verdict_of(processes, std::nullopt, 2).sentence, HasSubstr("member 2.1 (process"));
    processes.front() = rank(1);
    EXPECT_THAT(verdict_of(processes, std::nullopt, 2).sentence, HasSubstr("All 1 members of node 2 died"));
}

TEST(Verdict, ANodeOfSeveralIsDesertedOnlyIfItsMembersDiedOrRetired) {
    std::vector<MemberProcess> processes;
    processes.push_back(rank(1));
    EXPECT_FALSE(verdict_of(processes, std::nullopt).deserted) << "the job has one node";
    EXPECT_TRUE(verdict_of(processes, std::nullopt, 2).deserted);
    processes.front() = left(1);
    EXPECT_FALSE(verdict_of(processes, std::nullopt, 2).deserted) << "it came to the end of its program";
    processes.front().drained = true;
    EXPECT_TRUE(verdict_of(processes, std::nullopt, 2).deserted);
    EXPECT_THAT(verdict_of(processes, std::nullopt, 2).sentence, HasSubstr("All members of node 2 have retired"));
    processes.push_back(exited(2, 3));
    EXPECT_FALSE(verdict_of(processes, std::nullopt, 2).deserted) << "its program failed";
}

TEST(Verdict, ProcessesThatNeverAttachedAreNotCalledMembers) {
    MemberProcess first;
    MemberProcess second;
    first.is_child = second.is_child = true;
    first.wait_status = second.wait_status = 0;
    EXPECT_THAT(verdict(std::move(first), std::move(second)).sentence, HasSubstr("before it made a phoenix::Runtime"));
    MemberProcess crashed;
    crashed.is_child = true;
    crashed.wait_status = SIGABRT;
    MemberProcess also = MemberProcess{};
    also.is_child = true;
    also.wait_status = SIGABRT;
    EXPECT_THAT(verdict(std::move(crashed), std::move(also)).sentence, HasSubstr("2 by SIGABRT"));
}

}  // namespace
}  // namespace phoenix::pflight
