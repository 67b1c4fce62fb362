#include "membership/directory.hpp"

#include <csignal>
#include <gtest/gtest.h>

namespace phoenix {
namespace {

TEST(DirectoryWord, KeepsEveryFieldApart) {
    for (const std::uint32_t slot : {0U, 1U, 255U, DirectoryWord::slot_max}) {
        for (const OwnerState state :
             {OwnerState::unassigned, OwnerState::active, OwnerState::moving, OwnerState::recovering}) {
            for (const std::uint64_t version : {std::uint64_t{0}, std::uint64_t{1}, DirectoryWord::version_mask}) {
                const DirectoryWord word = DirectoryWord::make(MemberSlot{slot}, state, version);
                EXPECT_EQ(word.owner(), MemberSlot{slot});
                EXPECT_EQ(word.state(), state);
                EXPECT_EQ(word.version(), version);
            }
        }
    }
}

TEST(DirectoryWord, ZeroedMemoryIsUnassigned) {
    EXPECT_FALSE(DirectoryWord{}.assigned());
    EXPECT_FALSE(DirectoryWord{}.owned_by(MemberSlot{0}));
    EXPECT_EQ(DirectoryWord{}.version(), 0U);
}

TEST(DirectoryWord, VersionGrowsWithTheOwnerAndNotWithActivation) {
    const DirectoryWord placed = DirectoryWord{}.recovered_by(MemberSlot{3});
    EXPECT_EQ(placed, DirectoryWord::make(MemberSlot{3}, OwnerState::recovering, 1));
    const DirectoryWord active = placed.activated();
    EXPECT_EQ(active, DirectoryWord::make(MemberSlot{3}, OwnerState::active, 1));
    EXPECT_TRUE(active.same_ownership(placed));
    const DirectoryWord given = active.given_to(MemberSlot{7});
    EXPECT_EQ(given, DirectoryWord::make(MemberSlot{7}, OwnerState::moving, 2));
    EXPECT_FALSE(given.same_ownership(active));
    const DirectoryWord back = given.activated().given_to(MemberSlot{3}).activated();
    EXPECT_EQ(back.owner(), active.owner());
    EXPECT_FALSE(back.same_ownership(active)) << "a sender must notice a VNode that went away and came back";
    const DirectoryWord free = back.released();
    EXPECT_FALSE(free.assigned());
    EXPECT_EQ(free.version(), 4U);
    EXPECT_EQ(free.assumed_by(MemberSlot{1}).version(), 5U);
}

TEST(DirectoryWord, OnlyItsOwnerExecutesAndOnlyWhenActive) {
    const DirectoryWord word = DirectoryWord::make(MemberSlot{3}, OwnerState::moving, 9);
    EXPECT_TRUE(word.owned_by(MemberSlot{3}));
    EXPECT_FALSE(word.executed_by(MemberSlot{3}));
    EXPECT_TRUE(word.activated().executed_by(MemberSlot{3}));
    EXPECT_FALSE(word.activated().executed_by(MemberSlot{4}));
}

TEST(DirectoryWordDeathTest, ForbiddenTransitionsAreBugs) {
    const DirectoryWord active = DirectoryWord::make(MemberSlot{3}, OwnerState::active, 9);
    const auto killed = testing::KilledBySignal(SIGABRT);
    EXPECT_EXIT(static_cast<void>(active.activated()), killed, "bug");
    EXPECT_EXIT(static_cast<void>(active.assumed_by(MemberSlot{1})), killed, "bug");
    EXPECT_EXIT(static_cast<void>(DirectoryWord{}.given_to(MemberSlot{1})), killed, "bug");
    EXPECT_EXIT(static_cast<void>(DirectoryWord{}.released()), killed, "bug");
    EXPECT_EXIT(static_cast<void>(DirectoryWord::make(MemberSlot{1U << 20U}, OwnerState::active, 0)), killed, "bug");
}

}  // namespace
}  // namespace phoenix
