#include "memory/settings.hpp"

#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/memory/test_job.hpp"

namespace phoenix {
namespace {

using testing::HasSubstr;
using testing_tools::TestJob;
using testing_tools::value_or_throw;

/// As other programs, or a damaged segment, may have left it.
void store_text(ControlSegment& segment, std::string_view text) {
    std::memcpy(segment.header().settings.data(), text.data(), text.size());
    segment.header().settings_size = static_cast<std::uint32_t>(text.size());
}

Settings with_directory(std::string directory) {
    Settings settings;
    settings.checkpoint_directory = std::move(directory);
    return settings;
}

TEST(SettingsTest, WhatIsStoredIsLoaded) {
    TestJob job;
    const Settings stored{.heartbeat_period_ms = 1,
                          .heartbeat_misses_max = 2,
                          .start_timeout_ms = 3,
                          .kill_timeout_ms = 4,
                          .stall_report_ms = 5,
                          .deadlock_confirm_ms = 6,
                          .log_memory_soft = (1ULL << 40) + 7,
                          .log_memory_max = ~std::uint64_t{0},
                          .stack_size_bytes = 9,
                          .spin_ns = 10,
                          .verify_replay = true,
                          .quiet = true,
                          .checkpoint_directory = "/scratch/\"quoted\" \\ ümlaut\n",
                          .checkpoint_every = 11,
                          .checkpoint_keep = 12,
                          .restart_directory = "relative/step-3"};
    ASSERT_TRUE(store_settings(stored, job.segment));
    const Settings loaded = value_or_throw(load_settings(job.segment));
    EXPECT_EQ(loaded.heartbeat_period_ms, stored.heartbeat_period_ms);
    EXPECT_EQ(loaded.heartbeat_misses_max, stored.heartbeat_misses_max);
    EXPECT_EQ(loaded.start_timeout_ms, stored.start_timeout_ms);
    EXPECT_EQ(loaded.kill_timeout_ms, stored.kill_timeout_ms);
    EXPECT_EQ(loaded.stall_report_ms, stored.stall_report_ms);
    EXPECT_EQ(loaded.deadlock_confirm_ms, stored.deadlock_confirm_ms);
    EXPECT_EQ(loaded.log_memory_soft, stored.log_memory_soft);
    EXPECT_EQ(loaded.log_memory_max, stored.log_memory_max);
    EXPECT_EQ(loaded.stack_size_bytes, stored.stack_size_bytes);
    EXPECT_EQ(loaded.spin_ns, stored.spin_ns);
    EXPECT_EQ(loaded.verify_replay, stored.verify_replay);
    EXPECT_EQ(loaded.quiet, stored.quiet);
    EXPECT_EQ(loaded.checkpoint_directory, stored.checkpoint_directory);
    EXPECT_EQ(loaded.checkpoint_every, stored.checkpoint_every);
    EXPECT_EQ(loaded.checkpoint_keep, stored.checkpoint_keep);
    EXPECT_EQ(loaded.restart_directory, stored.restart_directory);
}

TEST(SettingsTest, WhatIsAbsentHasItsDefault) {
    TestJob job;
    store_text(job.segment, R"({"quiet": true, "not_known_here": 1})");
    const Settings loaded = value_or_throw(load_settings(job.segment));
    EXPECT_TRUE(loaded.quiet);
    EXPECT_EQ(loaded.heartbeat_period_ms, Settings{}.heartbeat_period_ms);
    EXPECT_EQ(loaded.log_memory_max, Settings{}.log_memory_max);
}

TEST(SettingsTest, TooLongOnesAreRefusedAndWriteNothing) {
    TestJob job;
    ASSERT_TRUE(store_settings(Settings{}, job.segment));
    const auto refused = store_settings(with_directory(std::string(7000, 'd')), job.segment);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::invalid_argument);
    EXPECT_THAT(refused.error().sentence, HasSubstr("shorter"));
    EXPECT_EQ(value_or_throw(load_settings(job.segment)).checkpoint_directory, "");
}

TEST(SettingsTest, ADirectoryThatJsonCannotHoldIsRefused) {
    TestJob job;
    const auto refused = store_settings(with_directory("/scratch/\xE4rger"), job.segment);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::invalid_argument);
}

TEST(SettingsTest, UnreadableOnesAreCorrupt) {
    TestJob job;
    for (const char* text : {"", "{\"quiet\": tr", "[1, 2]", "{\"quiet\": \"yes\"}", "\xFF\xFE"}) {
        store_text(job.segment, text);
        const auto loaded = load_settings(job.segment);
        ASSERT_FALSE(loaded) << text;
        EXPECT_EQ(loaded.error().code, Errc::corrupt) << text;
    }
}

TEST(SettingsTest, AWrongSizeReadsNothingBehindThem) {
    TestJob job;
    ControlHeader& header = job.segment.header();
    std::fill(header.settings.begin(), header.settings.end(), ' ');
    std::memcpy(header.settings.data(), "{}", 2);
    *reinterpret_cast<char*>(&header + 1) = 'x';  // would spoil the text
    header.settings_size = 0xFFFFFFFF;
    EXPECT_TRUE(load_settings(job.segment));
}

}  // namespace
}  // namespace phoenix
