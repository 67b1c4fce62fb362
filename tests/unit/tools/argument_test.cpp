#include "pflight/argument.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace phoenix::pflight {
namespace {

TEST(Argument, WholeNumbersAreDigitsOnly) {
    EXPECT_EQ(whole_number("17"), 17U);
    for (const char* text : {"", "-1", "1.5", "2x", " 3"}) EXPECT_FALSE(whole_number(text)) << text;
}

TEST(Argument, SecondsMayHaveAUnit) {
    EXPECT_EQ(seconds_in_ns("30"), 30'000'000'000U);
    EXPECT_EQ(seconds_in_ns("0.5"), 500'000'000U);
    EXPECT_EQ(seconds_in_ns("500ms"), 500'000'000U);
    EXPECT_EQ(seconds_in_ns("3s"), 3'000'000'000U);
    EXPECT_EQ(seconds_in_ns("0"), 0U);
    for (const char* text : {"", "-1", "s", "3m", "x", "86401"}) EXPECT_FALSE(seconds_in_ns(text)) << text;
}

TEST(Argument, JobIdsAreNames) {
    EXPECT_TRUE(check_job_id(""));
    EXPECT_TRUE(check_job_id("my-run_2"));
    EXPECT_FALSE(check_job_id("a/b"));
    EXPECT_FALSE(check_job_id(std::string(41, 'a')));
}

}  // namespace
}  // namespace phoenix::pflight
