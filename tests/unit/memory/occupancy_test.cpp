#include "memory/occupancy.hpp"

#include "memory/member_table.hpp"
#include "unit/memory/test_job.hpp"

#include <gtest/gtest.h>

namespace phoenix {
namespace {

/// Node 3 of a job; this process is all its members.
class Occupancy : public testing::Test {
  protected:
    Occupancy() {
        job_.segment.header().node_id = 3;
        job_.segment.header().expected_members = 1;
    }
    std::uint32_t join(MemberRole role = MemberRole::executes, Presence presence = Presence::present) {
        const auto claimed = claim_slot(job_.segment, role);
        if (presence != Presence::claimed) announce(job_.segment.member(claimed->slot), presence);
        return claimed->slot;
    }
    void leave(std::uint32_t slot, bool drained) {
        job_.segment.member(slot).drained = drained ? 1 : 0;
        announce(job_.segment.member(slot), Presence::leaving);
    }
    [[nodiscard]] bool nobody() const { return !somebody_lives(job_.segment) && everybody_came(job_.segment); }
    bool say() {
        return say_over(job_.segment, [this] { return nobody(); });
    }

    testing_tools::TestJob job_;
};

TEST_F(Occupancy, AMemberLivesFromItsClaimToItsEndAndAPortIsNone) {
    EXPECT_FALSE(somebody_lives(job_.segment));
    join(MemberRole::port);
    EXPECT_FALSE(somebody_lives(job_.segment));
    const std::uint32_t slot = join(MemberRole::executes, Presence::claimed);
    EXPECT_TRUE(somebody_lives(job_.segment));
    announce(job_.segment.member(slot), Presence::present);
    EXPECT_TRUE(somebody_lives(job_.segment));
    leave(slot, true);
    EXPECT_FALSE(somebody_lives(job_.segment));
    EXPECT_FALSE(somebody_finished(job_.segment)) << "it retired";
    leave(join(), false);
    EXPECT_TRUE(somebody_finished(job_.segment));
}

TEST_F(Occupancy, MembersOfTheStartAreWaitedForUntilTheirTimeIsOver) {
    job_.segment.header().expected_members = 2;
    EXPECT_FALSE(everybody_came(job_.segment));
    leave(join(), true);
    EXPECT_FALSE(everybody_came(job_.segment)) << "the second has not come";
    join(MemberRole::port);
    EXPECT_FALSE(everybody_came(job_.segment)) << "ports are not counted";
    job_.segment.header().start_deadline_ns = 1;
    EXPECT_TRUE(everybody_came(job_.segment));
    job_.segment.header().start_deadline_ns = 0;
    ASSERT_TRUE(vacate_slot(job_.segment, 0, 1));
    join();  // into the same slot
    EXPECT_TRUE(everybody_came(job_.segment));
}

TEST_F(Occupancy, ANodeIsOverOnceNobodyIsLeft) {
    const std::uint32_t slot = join();
    EXPECT_FALSE(say());
    EXPECT_FALSE(is_over(job_.segment));
    leave(slot, true);
    EXPECT_TRUE(say());
    EXPECT_TRUE(is_over(job_.segment));
    EXPECT_TRUE(is_over(job_.segment, NodeId{3}));
    EXPECT_FALSE(is_over(job_.segment, NodeId{2}));
}

TEST_F(Occupancy, WhoClaimsASlotWhileItIsSaidIsSeenAndItIsTakenBack) {
    leave(join(), true);
    int looks = 0;
    const bool said = say_over(job_.segment, [&] {
        if (++looks == 2) join(MemberRole::executes, Presence::claimed);  // between the first look and the second
        return nobody();
    });
    EXPECT_FALSE(said);
    EXPECT_FALSE(is_over(job_.segment)) << "the newcomer stays";
}

TEST_F(Occupancy, WhatAPredecessorSaidStandsWhileSomebodyOnlyComesToLeaveAgain) {
    leave(join(), true);
    ASSERT_TRUE(say());
    join(MemberRole::executes, Presence::claimed);
    EXPECT_FALSE(say());
    EXPECT_TRUE(is_over(job_.segment)) << "other nodes may have heard it";
}

TEST_F(Occupancy, WhatAPortSaidThatDiedBeforeItsSecondLookIsTakenBackIfAMemberIsThere) {
    job_.segment.header().nodes_over = std::uint64_t{1} << 3;
    join();
    EXPECT_FALSE(say());
    EXPECT_FALSE(is_over(job_.segment));
}

}  // namespace
}  // namespace phoenix
