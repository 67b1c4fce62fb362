#include "membership/view.hpp"

#include <csignal>
#include <cstring>
#include <gtest/gtest.h>

namespace phoenix {
namespace {

View view_of_three() {
    View view = next_of(View{});
    view = with_active(view, MemberSlot{5}, Incarnation{1});
    view = with_active(view, MemberSlot{2}, Incarnation{1});
    return with_active(view, MemberSlot{9}, Incarnation{4});
}

TEST(View, AdmissionGivesSeniorityInOrderOfAdmission) {
    const View view = view_of_three();
    EXPECT_EQ(view.number, ViewNumber{1});
    EXPECT_EQ(view.active_count(), 3U);
    EXPECT_EQ(view.at(MemberSlot{5}).order, 0U);
    EXPECT_EQ(view.at(MemberSlot{2}).order, 1U);
    EXPECT_EQ(view.at(MemberSlot{9}).order, 2U);
    EXPECT_EQ(view.next_order, 3U);
}

TEST(View, OneWhoComesBackIsTheYoungest) {
    View view = with_failed(view_of_three(), MemberSlot{5});
    view = with_active(view, MemberSlot{5}, Incarnation{2});
    EXPECT_EQ(view.at(MemberSlot{5}).order, 3U);
    EXPECT_TRUE(view.is_active(MemberSlot{5}));
}

TEST(ViewDeathTest, AnIncarnationIsNotAdmittedTwice) {
    const View view = with_failed(view_of_three(), MemberSlot{5});
    EXPECT_EXIT(static_cast<void>(with_active(view, MemberSlot{5}, Incarnation{1})), testing::KilledBySignal(SIGABRT),
                "bug");
    EXPECT_EXIT(static_cast<void>(with_active(view, MemberSlot{2}, Incarnation{9})), testing::KilledBySignal(SIGABRT),
                "bug");
}

TEST(ViewDeathTest, OnlyMembersOfTheViewFailOrRetire) {
    const View view = with_retired(view_of_three(), MemberSlot{2});
    EXPECT_EXIT(static_cast<void>(with_failed(view, MemberSlot{2})), testing::KilledBySignal(SIGABRT), "bug");
    EXPECT_EXIT(static_cast<void>(with_retired(view, MemberSlot{0})), testing::KilledBySignal(SIGABRT), "bug");
    EXPECT_EXIT(static_cast<void>(with_draining(view, MemberSlot{2})), testing::KilledBySignal(SIGABRT), "bug");
}

TEST(View, DrainingMembersMayFailOrRetire) {
    const View view = with_draining(view_of_three(), MemberSlot{2});
    EXPECT_EQ(view.at(MemberSlot{2}).state, MemberState::draining);
    EXPECT_EQ(with_failed(view, MemberSlot{2}).at(MemberSlot{2}).state, MemberState::failed);
    EXPECT_EQ(with_retired(view, MemberSlot{2}).at(MemberSlot{2}).state, MemberState::retired);
}

TEST(View, TheOldestActiveLiveMemberCoordinates) {
    View view = view_of_three();
    LivenessTable liveness{};
    EXPECT_EQ(coordinator_of(view, liveness), MemberSlot{5});
    liveness[5] = Liveness::dead;
    EXPECT_EQ(coordinator_of(view, liveness), MemberSlot{2});
    liveness[5] = Liveness::hung;
    EXPECT_EQ(coordinator_of(view, liveness), MemberSlot{2});
    view = with_draining(view, MemberSlot{2});
    EXPECT_EQ(coordinator_of(view, liveness), MemberSlot{9});
    liveness[9] = Liveness::dead;
    EXPECT_EQ(coordinator_of(view, liveness), MemberSlot{2}) << "one that drains, if nobody else is left";
    liveness[2] = Liveness::dead;
    EXPECT_EQ(coordinator_of(view, liveness), std::nullopt);
    EXPECT_EQ(coordinator_of(View{}, LivenessTable{}), std::nullopt);
}

TEST(View, GenerationGrowsAlone) {
    const View before = view_of_three();
    View after = with_next_generation(before);
    EXPECT_EQ(after.generation, Generation{1});
    after.generation = before.generation;
    EXPECT_EQ(after, before);
}

TEST(ViewImage, IsReadBackAsItWasWritten) {
    View view = with_failed(with_next_generation(view_of_three()), MemberSlot{2});
    view = with_active(view, MemberSlot{255}, Incarnation{0xFFFFFFFF});
    EXPECT_EQ(view_of(image_of(view)), view);
}

TEST(ViewImage, ATornImageIsNoticedWhereverItIsTorn) {
    const ViewImage old_image = image_of(view_of_three());
    View view = next_of(view_of_three());
    for (std::uint32_t slot = 100; slot < member_count_max; ++slot) {
        view = with_active(view, MemberSlot{slot}, Incarnation{1});
    }
    const ViewImage new_image = image_of(with_failed(view, MemberSlot{2}));
    std::size_t torn = 0;
    for (std::size_t cut = 8; cut < sizeof(ViewImage); cut += 8) {
        ViewImage mixed = old_image;
        std::memcpy(&mixed, &new_image, cut);
        if (std::memcmp(&mixed, &new_image, sizeof(ViewImage)) != 0) {
            ++torn;
            EXPECT_EQ(view_of(mixed), std::nullopt) << "first " << cut << " bytes new";
        }
    }
    EXPECT_GT(torn, 300U);
}

TEST(ViewImage, AStateThatDoesNotExistIsRefused) {
    View view = view_of_three();
    view.members[7].state = static_cast<MemberState>(6);
    EXPECT_EQ(view_of(image_of(view)), std::nullopt);
}

TEST(ViewWord, NamesNumberAndBuffer) {
    const ViewWord word = ViewWord::make(ViewNumber{0x123456789ABC}, 511);
    EXPECT_EQ(word.number(), ViewNumber{0x123456789ABC});
    EXPECT_EQ(word.buffer(), 511U);
    EXPECT_EQ(ViewWord{}.number(), ViewNumber{0});
}

TEST(ViewWord, AProposerNeverWritesTheCurrentBuffer) {
    EXPECT_EQ(ViewWord{}.spare_buffer_of(MemberSlot{0}), 0U);
    EXPECT_EQ(ViewWord::make(ViewNumber{1}, 0).spare_buffer_of(MemberSlot{0}), 1U);
    EXPECT_EQ(ViewWord::make(ViewNumber{2}, 1).spare_buffer_of(MemberSlot{0}), 0U);
    EXPECT_EQ(ViewWord::make(ViewNumber{2}, 1).spare_buffer_of(MemberSlot{255}), 510U);
}

}  // namespace
}  // namespace phoenix
