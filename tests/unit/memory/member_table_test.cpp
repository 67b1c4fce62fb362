#include "memory/member_table.hpp"

#include <atomic>
#include <gtest/gtest.h>
#include <set>
#include <thread>
#include <vector>

#include "unit/memory/test_job.hpp"

namespace phoenix {
namespace {

using testing_tools::ChildProcess;
using testing_tools::TestJob;

class MemberTable : public testing::Test {
  protected:
    [[nodiscard]] MemberRecord& record(std::uint32_t slot) const { return job_.segment.member(slot); }
    [[nodiscard]] Standing standing(std::uint32_t slot) const { return Standing{record(slot).standing.load()}; }
    void join(std::uint32_t slot, std::uint32_t incarnation) {
        const auto claimed = claim_slot(job_.segment);
        ASSERT_TRUE(claimed);
        EXPECT_EQ(claimed->slot, slot);
        EXPECT_EQ(claimed->incarnation, incarnation);
        announce(record(slot), Presence::present);
    }

    TestJob job_;
};

TEST_F(MemberTable, ClaimsTheLowestSlotThatIsNobodys) {
    join(0, 1);
    join(1, 1);
    const MemberIdentity who = identity_of(record(1));
    EXPECT_EQ(who.presence, Presence::present);
    EXPECT_EQ(who.incarnation, 1U);
    EXPECT_EQ(who.process, own_identity());
    EXPECT_EQ(who.order, 1U);
    EXPECT_TRUE(who.alive());
    EXPECT_EQ(identity_of(record(2)).incarnation, 0U);
    EXPECT_FALSE(identity_of(record(2)).alive());
}

TEST_F(MemberTable, ASlotThatIsGivenBackIsClaimedByTheNextIncarnationWithACleanRecord) {
    join(0, 1);
    record(0).steps = 7;
    record(0).taking = 1;
    record(0).drained = 1;
    record(0).numa = 2;
    EXPECT_EQ(identity_of(record(0)).numa, 2U);
    EXPECT_FALSE(vacate_slot(job_.segment, 0, 1)) << "it has not left";
    announce(record(0), Presence::leaving);
    join(1, 1);
    EXPECT_FALSE(vacate_slot(job_.segment, 0, 2)) << "another one";
    EXPECT_TRUE(vacate_slot(job_.segment, 0, 1));
    EXPECT_FALSE(vacate_slot(job_.segment, 0, 1)) << "somebody was first";
    EXPECT_EQ(identity_of(record(0)).presence, Presence::empty);
    EXPECT_EQ(identity_of(record(0)).incarnation, 1U) << "it is known who was the last";
    join(0, 2);
    EXPECT_EQ(record(0).steps, 0U);
    EXPECT_EQ(record(0).taking, 0U);
    EXPECT_EQ(record(0).drained, 0U);
    EXPECT_EQ(identity_of(record(0)).numa, 0U);
    EXPECT_EQ(job_.segment.header().past_steps, 7U) << "sums do not shrink";
}

TEST_F(MemberTable, AFullTableGivesNothingUntilSomebodyHasLeft) {
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) join(slot, 1);
    EXPECT_FALSE(claim_slot(job_.segment));
    announce(record(99), Presence::leaving);
    EXPECT_FALSE(claim_slot(job_.segment)) << "others may still read what it left";
    EXPECT_TRUE(vacate_slot(job_.segment, 99, 1));
    join(99, 2);
    EXPECT_FALSE(claim_slot(job_.segment));
}

TEST_F(MemberTable, TheSlotOfAClaimantThatDiedIsTakenOverButNotThatOfADeadMember) {
    ChildProcess claimant{[&] { return claim_slot(job_.segment) ? 0 : 1; }};
    EXPECT_EQ(claimant.ended(), 0);
    EXPECT_EQ(standing(0).presence(), Presence::claimed);
    join(0, 2);
    ChildProcess member{[&] {
        const auto claimed = claim_slot(job_.segment);
        if (!claimed) return 1;
        announce(record(claimed->slot), Presence::present);
        return 0;
    }};
    EXPECT_EQ(member.ended(), 0);
    EXPECT_EQ(standing(1).presence(), Presence::present);
    join(2, 1);
}

TEST_F(MemberTable, NoSlotIsHadByTwoOrLostWhileClaimantsAreKilled) {
    constexpr int rounds = 60;
    const std::uint32_t own = claim_slot(job_.segment)->slot;
    announce(record(own), Presence::present);
    std::uint32_t present = 1;
    for (int round = 0; round < rounds; ++round) {
        const auto claim = [this] {
            const auto claimed = claim_slot(job_.segment);
            if (claimed) announce(record(claimed->slot), Presence::present);
            return 0;
        };
        ChildProcess one{claim};
        ChildProcess other{claim};
        (void)one.killed();  // wherever it is
        EXPECT_EQ(other.ended(), 0);
        std::uint32_t now = 0;
        std::set<pid_t> pids;
        for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
            if (standing(slot).presence() != Presence::present) continue;
            ++now;
            EXPECT_TRUE(pids.insert(standing(slot).pid()).second) << "slot " << slot;
        }
        EXPECT_GE(now, present + 1);
        EXPECT_LE(now, present + 2);
        present = now;
    }
    // What is not present was claimed by one that died, and is claimed again.
    for (; present < member_count_max; ++present) {
        const auto claimed = claim_slot(job_.segment);
        ASSERT_TRUE(claimed);
        announce(record(claimed->slot), Presence::present);
    }
    EXPECT_FALSE(claim_slot(job_.segment));
}

TEST_F(MemberTable, AnIdentityIsNeverMadeOfTwo) {
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> seen{0};
    std::thread writer{[&] {
        // On a busy machine the reader may not get to run for a long time.
        for (std::uint32_t incarnation = 1; incarnation <= 20'000 || (seen == 0 && incarnation < 5'000'000);
             ++incarnation) {
            const auto claimed = claim_slot(job_.segment);
            announce(record(claimed->slot), Presence::present);
            announce(record(claimed->slot), Presence::leaving);
            (void)vacate_slot(job_.segment, claimed->slot, incarnation);
        }
        over = true;
    }};
    std::uint64_t last = 0;
    while (!over) {
        const MemberIdentity who = identity_of(record(0));
        if (!who.attached()) continue;
        ++seen;
        // Only this process claims: the ticket follows from the incarnation.
        EXPECT_EQ(who.order, who.incarnation - 1);
        EXPECT_GE(who.incarnation, last);
        last = who.incarnation;
    }
    writer.join();
    EXPECT_GT(seen, 0U);
}

TEST_F(MemberTable, AWishToRetireDoesNotMeetTheSuccessor) {
    join(0, 1);
    const RetireWord before = retire_word(record(0));
    EXPECT_TRUE(ask_to_retire(record(0), 1, 1'500'000'000));
    EXPECT_EQ(retire_word(record(0)).wish(), RetireWish::wanted);
    EXPECT_EQ(retire_word(record(0)).deadline_ns(), 1'500'000'000U);
    announce(record(0), Presence::leaving);
    EXPECT_TRUE(vacate_slot(job_.segment, 0, 1));
    join(0, 2);
    EXPECT_FALSE(ask_to_retire(record(0), 1, 0)) << "asked for the predecessor";
    EXPECT_EQ(retire_word(record(0)).wish(), RetireWish::none);
    EXPECT_TRUE(before.is_of(1));
    EXPECT_TRUE(retire_word(record(0)).is_of(2));
}

}  // namespace
}  // namespace phoenix
