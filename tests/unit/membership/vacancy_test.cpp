#include "membership/vacancy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/membership/node.hpp"

namespace phoenix {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing_tools::Node;
using testing_tools::running_node;

/// Three members, of whom the one in slot 1 has retired and is seen dead.
class Vacancy : public testing::Test {
  protected:
    void SetUp() override {
        node_.published[1].state = PublishedState::leaving;
        node_.settle(0);
        ASSERT_EQ(node_.view.at(MemberSlot{1}).state, MemberState::retired);
        node_.liveness[1] = Liveness::dead;
    }
    [[nodiscard]] std::vector<MemberSlot> vacant() const {
        return vacant_slots(node_.view, node_.published, node_.liveness, remains_);
    }
    /// As the runtime does with what is vacant.
    void give_back() { node_.published[1].state = PublishedState::empty; }

    Node node_{running_node(6)};
    RemainsTable remains_{};
};

TEST_F(Vacancy, ASlotIsFreeWhenNothingOfTheRetiredIsLeft) { EXPECT_THAT(vacant(), ElementsAre(MemberSlot{1})); }

TEST_F(Vacancy, WhateverIsLeftKeepsTheSlot) {
    for (bool Remains::*part : {&Remains::last_words, &Remains::logs, &Remains::memory}) {
        remains_[1] = {};
        remains_[1].*part = true;
        EXPECT_THAT(vacant(), IsEmpty());
    }
    remains_[1] = {};
    node_.liveness[1] = Liveness::alive;
    EXPECT_THAT(vacant(), IsEmpty()) << "its process may still run";
}

TEST_F(Vacancy, SlotsOfTheDeadStay) {
    node_.liveness[2] = Liveness::dead;
    node_.settle(0);
    ASSERT_EQ(node_.view.at(MemberSlot{2}).state, MemberState::failed);
    EXPECT_THAT(vacant(), ElementsAre(MemberSlot{1}));
}

TEST_F(Vacancy, ASlotIsGivenBackOnce) {
    give_back();
    EXPECT_THAT(vacant(), IsEmpty());
    node_.join(1, 9, 2);
    EXPECT_THAT(vacant(), IsEmpty()) << "a newcomer has it, though the view does not know";
    node_.published[1].state = PublishedState::leaving;
    EXPECT_THAT(vacant(), IsEmpty()) << "it was not retired by a view";
}

TEST_F(Vacancy, ANewcomerInTheSlotIsAdmittedAndWorks) {
    give_back();
    node_.balance = true;
    EXPECT_EQ(node_.settle(0), 0) << "an empty slot is nobody's business";
    node_.join(1, 9, 2);
    node_.published[1].taking = 1;
    node_.published[0].taking = node_.published[2].taking = 1;
    node_.settle(0);
    EXPECT_TRUE(node_.view.is_active(MemberSlot{1}));
    EXPECT_EQ(node_.view.at(MemberSlot{1}).incarnation, Incarnation{2});
    EXPECT_GT(node_.view.at(MemberSlot{1}).order, node_.view.at(MemberSlot{2}).order) << "the youngest";
    node_.activate_all();
    node_.settle(0);
    node_.move_all();
    EXPECT_THAT(node_.owners(), testing::Contains(1U));
}

TEST_F(Vacancy, AGiftThatComesLateKeepsTheNewcomerWaiting) {
    give_back();
    node_.join(1, 9, 2);
    // By an owner that had not seen its predecessor go.
    const DirectoryWord word{node_.words[0].load()};
    node_.words[0] = DirectoryWord::make(MemberSlot{1}, OwnerState::moving, word.version() + 1).bits;
    const Decision decision = node_.decide_for(0);
    EXPECT_FALSE(decision.proposal);
    ASSERT_EQ(decision.reassigns.size(), 1U);
    node_.settle(0);
    EXPECT_TRUE(node_.view.is_active(MemberSlot{1}));
    EXPECT_NE(node_.owners()[0], 1U);
}

TEST_F(Vacancy, MembersThatCameToASlotOneAfterTheOtherCountAsArrivedEach) {
    Node node{4};
    node.expected = 3;
    node.join(0, 0);
    node.join(1, 1);
    node.settle(0);
    EXPECT_EQ(node.owners(), std::vector<std::uint32_t>(4, 999)) << "one is missing";
    node.published[1].retire_wanted = true;
    node.settle(0);
    node.published[1].state = PublishedState::leaving;
    node.settle(0);
    node.published[1] = {};
    node.join(1, 2, 2);
    node.settle(0);
    EXPECT_THAT(node.owners(), ElementsAre(0, 0, 1, 1)) << "three have come, in two slots";
}

}  // namespace
}  // namespace phoenix
