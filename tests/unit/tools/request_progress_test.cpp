#include "pflight/request_progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace phoenix::pflight {
namespace {

using testing::HasSubstr;

MemberView member(std::uint32_t slot, MemberState state, RetireWish wish = RetireWish::none, bool drained = false) {
    MemberView result;
    result.slot = slot;
    result.incarnation = 1;
    result.state = state;
    result.wish = wish;
    result.drained = drained;
    return result;
}

TEST(Growth, CountsNewMembersThatBecameActive) {
    const auto growth = growth_since({member(0, MemberState::active), member(1, MemberState::active)}, 0,
                                     {member(0, MemberState::active), member(1, MemberState::failed),
                                      member(2, MemberState::active), member(3, MemberState::joining)});
    EXPECT_THAT(growth.joined, testing::ElementsAre(2));
    EXPECT_EQ(growth.lost, 0U);
    EXPECT_EQ(growth_text(growth, 2), "1 of 2 members joined: 2");
}

TEST(Growth, CountsThoseThatNeverAttachedOrDiedAsLost) {
    const auto growth = growth_since({member(0, MemberState::active)}, 1,
                                     {member(0, MemberState::active), member(1, MemberState::failed)});
    EXPECT_TRUE(growth.joined.empty());
    EXPECT_EQ(growth.lost, 2U);
    EXPECT_EQ(growth_text(growth, 2), "no member joined");
}

TEST(Growth, OneThatHasLeftAgainHadJoined) {
    const auto growth = growth_since({}, 0, {member(4, MemberState::retired), member(5, MemberState::draining)});
    EXPECT_EQ(growth_text(growth, 2), "2 members joined: 4, 5");
    EXPECT_EQ(growth_text(growth_since({}, 0, {member(7, MemberState::active)}), 1), "1 member joined: 7");
}

TEST(Growth, ANewcomerInTheSlotOfOneThatLeftCounts) {
    MemberView again = member(2, MemberState::active);
    again.incarnation = 2;
    const auto growth = growth_since({member(0, MemberState::active), member(2, MemberState::retired)}, 0,
                                     {member(0, MemberState::active), again});
    EXPECT_EQ(growth_text(growth, 1), "1 member joined: 2");
}

TEST(FreeSlots, AreThoseOfMembersThatLeftButNotOfTheDead) {
    std::vector<MemberView> all;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) all.push_back(member(slot, MemberState::active));
    EXPECT_EQ(free_slots(all, 0), 0U);
    all[7].state = MemberState::retired;
    all[8].state = MemberState::failed;
    EXPECT_EQ(free_slots(all, 0), 1U);
    EXPECT_EQ(free_slots(all, 1), 0U);
}

TEST(FreeSlots, CountThoseThatWereUsedAndThoseAskedFor) {
    std::vector<MemberView> all(member_count_max - 3);
    EXPECT_EQ(free_slots(all, 0), 3U);
    EXPECT_EQ(free_slots(all, 2), 1U);
    EXPECT_EQ(free_slots(all, 9), 0U);
}

TEST(RetirementRefusal, NamesWhyAMemberCannotBeAsked) {
    const std::vector<MemberView> now{member(0, MemberState::active), member(1, MemberState::failed),
                                      member(2, MemberState::draining, RetireWish::wanted),
                                      member(3, MemberState::retired, RetireWish::wanted, true),
                                      member(4, MemberState::active, RetireWish::wanted)};
    EXPECT_THAT(*retirement_refusal("j", 9, true, now),
                HasSubstr("There is no member 9 in job 'j'; active are 0, 2, 4."));
    EXPECT_THAT(*retirement_refusal("j", 1, true, now), HasSubstr("is dead"));
    EXPECT_THAT(*retirement_refusal("j", 2, true, now), HasSubstr("drains already"));
    EXPECT_THAT(*retirement_refusal("j", 3, true, now), HasSubstr("has left job 'j' already"));
    EXPECT_THAT(*retirement_refusal("j", 4, true, now), HasSubstr("asked to retire already"));
}

TEST(RetirementRefusal, AMemberThatWasKeptMayBeAskedAgain) {
    EXPECT_FALSE(retirement_refusal("j", 0, true, {member(0, MemberState::active)}));
    EXPECT_FALSE(retirement_refusal("j", 0, true, {member(0, MemberState::active, RetireWish::refused)}));
}

TEST(RetirementRefusal, AMemberWithVNodesOfASpaceIsNotToBeKilledAtATimeout) {
    MemberView one = member(0, MemberState::active);
    one.vnodes_of_spaces = 3;
    EXPECT_THAT(*retirement_refusal("j", 0, true, {one}), HasSubstr("3 VNodes of a space"));
    EXPECT_FALSE(retirement_refusal("j", 0, false, {one}));
}

TEST(Retirement, EndsInOneOfFourWays) {
    const auto state_of = [](const MemberView& one) { return retirement_of(0, 1, {one}); };
    EXPECT_EQ(state_of(member(0, MemberState::active, RetireWish::wanted)), Retirement::going_on);
    EXPECT_EQ(state_of(member(0, MemberState::draining, RetireWish::wanted)), Retirement::going_on);
    EXPECT_EQ(state_of(member(0, MemberState::retired, RetireWish::wanted, true)), Retirement::retired);
    EXPECT_EQ(state_of(member(0, MemberState::active, RetireWish::refused)), Retirement::kept);
    EXPECT_EQ(state_of(member(0, MemberState::failed, RetireWish::wanted)), Retirement::died);
    EXPECT_EQ(state_of(member(0, MemberState::retired, RetireWish::wanted, false)), Retirement::ended);
    MemberView successor = member(0, MemberState::active);
    successor.incarnation = 2;
    EXPECT_EQ(state_of(successor), Retirement::retired) << "nobody else gives its slot to others";
    EXPECT_EQ(retirement_of(0, 1, {}), Retirement::retired) << "the slot is being claimed";
}

}  // namespace
}  // namespace phoenix::pflight
