#include "queens/ledger.hpp"
#include "queens/board.hpp"

#include <gmock/gmock.h>

namespace queens {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Ask = Ledger::Ask;

TEST(Ledger, IsFinishedWhenAllCreditIsBack) {
    Ledger ledger;
    ledger.member_came(100);
    EXPECT_THAT(ledger.task_done(credit_total - 1, 5), IsEmpty());
    EXPECT_FALSE(ledger.finished());
    EXPECT_THAT(ledger.task_done(1, 2), IsEmpty());
    EXPECT_TRUE(ledger.finished());
    EXPECT_EQ(ledger.totals().solutions, 7U);
}

TEST(Ledger, AsksABusyMemberToShareWithAHungryOne) {
    Ledger ledger;
    ledger.member_came(100);
    ledger.member_came(101);
    EXPECT_THAT(ledger.member_hungry(101), ElementsAre(Ask{100, 101}));
    EXPECT_THAT(ledger.member_shared(100, 101, 8), IsEmpty());
    EXPECT_EQ(ledger.totals().hand_overs, 8U);
    EXPECT_THAT(ledger.member_hungry(100), ElementsAre(Ask{101, 100}));  // it is busy now
}

TEST(Ledger, AsksInTurnAndNobodyTwiceAtATime) {
    Ledger ledger;
    for (std::uint32_t desk = 100; desk < 104; ++desk) ledger.member_came(desk);
    EXPECT_THAT(ledger.member_hungry(103), ElementsAre(Ask{100, 103}));
    EXPECT_THAT(ledger.member_hungry(102), ElementsAre(Ask{101, 102}));
    EXPECT_THAT(ledger.member_hungry(101), IsEmpty());  // it is asked itself, and 100 too
    EXPECT_THAT(ledger.member_shared(100, 103, 4), ElementsAre(Ask{103, 101}));
}

TEST(Ledger, AsksAgainAfterATaskWhenThereWasNothingToSpare) {
    Ledger ledger;
    ledger.member_came(100);
    ledger.member_came(101);
    EXPECT_THAT(ledger.member_hungry(101), ElementsAre(Ask{100, 101}));
    EXPECT_THAT(ledger.member_shared(100, 101, 0), IsEmpty());
    EXPECT_THAT(ledger.task_done(1, 0), ElementsAre(Ask{100, 101}));
    EXPECT_EQ(ledger.totals().hand_overs, 0U);
}

TEST(Ledger, AMemberAloneIsNeverAsked) {
    Ledger ledger;
    ledger.member_came(100);
    EXPECT_THAT(ledger.member_hungry(100), IsEmpty());
    EXPECT_THAT(ledger.task_done(1, 0), IsEmpty());
    EXPECT_THAT(ledger.desks(), ElementsAre(100));
}

}  // namespace
}  // namespace queens
