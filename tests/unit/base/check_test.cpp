#include "base/check.hpp"

#include <csignal>
#include <gtest/gtest.h>

namespace phoenix {
namespace {

TEST(CheckDeathTest, AViolatedCheckEndsTheProcessAndNamesExpressionAndPlace) {
    const int answer = 41;
    EXPECT_EXIT(PHOENIX_CHECK(answer == 42), testing::KilledBySignal(SIGABRT),
                "phoenix: bug: answer == 42 does not hold at .*check_test.cpp:[0-9]+ .*others recover");
}

TEST(CheckDeathTest, TheNoteIsPrinted) {
    EXPECT_EXIT(PHOENIX_CHECK_NOTE(false, "slot 7"), testing::KilledBySignal(SIGABRT), "does not hold .*: slot 7 ");
}

TEST(Check, EvaluatesTheExpressionOnceAndIsSilentWhenItHolds) {
    int evaluations = 0;
    PHOENIX_CHECK(++evaluations == 1);
    EXPECT_EQ(evaluations, 1);
}

}  // namespace
}  // namespace phoenix
