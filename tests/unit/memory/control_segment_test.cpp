#include "memory/control_segment.hpp"

#include <algorithm>
#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <sys/mman.h>
#include <sys/stat.h>
#include <thread>
#include <vector>

#include "memory/member_table.hpp"
#include "unit/memory/test_job.hpp"

namespace phoenix {
namespace {

using testing::HasSubstr;
using testing_tools::ChildProcess;
using testing_tools::value_or_throw;

/// A job id whose names are gone when the test ends.
class ControlSegmentTest : public testing::Test {
  protected:
    void TearDown() override { ControlSegment::remove(id_); }

    [[nodiscard]] bool name_exists() const {
        return FileDescriptor{shm_open(control_name(id_).c_str(), O_RDONLY | O_CLOEXEC, 0)}.valid();
    }
    [[nodiscard]] FileDescriptor open_file() const {
        return FileDescriptor{shm_open(control_name(id_).c_str(), O_RDWR | O_CLOEXEC, 0)};
    }
    /// Makes the segment in a process that is dead on return.
    template <typename Fill>
    void create_and_die(Fill&& fill) {
        ChildProcess child{[&] {
            ControlSegment segment = value_or_throw(ControlSegment::create(id_));
            fill(segment);
            segment.publish();
            return 0;
        }};
        ASSERT_EQ(child.ended(), 0);
        ASSERT_TRUE(name_exists());
    }
    void expect_refused() const {
        const auto second = ControlSegment::create(id_);
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().code, Errc::refused);
        EXPECT_THAT(second.error().sentence, HasSubstr(id_));
        EXPECT_TRUE(name_exists());
    }
    [[nodiscard]] bool listed_alive() const {
        const std::vector<FoundJob> jobs = find_jobs();
        const auto found =
            std::find_if(jobs.begin(), jobs.end(), [&](const FoundJob& job) { return job.job_id == id_; });
        return found != jobs.end() && found->alive;
    }

    const std::string id_{testing_tools::unique_job_id()};
};

TEST_F(ControlSegmentTest, WhoAttachesSeesWhatTheCreatorMade) {
    ControlSegment made = value_or_throw(ControlSegment::create(id_));
    made.header().settings_size = 77;
    made.member(255).steps = 12;
    made.log_head(3, 250) = 99;
    made.publish();
    const ControlSegment other = value_or_throw(ControlSegment::attach(id_));
    EXPECT_EQ(other.job_id(), id_);
    EXPECT_EQ(other.header().settings_size, 77U);
    EXPECT_EQ(other.member(255).steps, 12U);
    EXPECT_EQ(other.log_head(3, 250), 99U);
    EXPECT_EQ(other.log_head(250, 3), 0U);
    EXPECT_EQ(other.header().secret, made.header().secret);
    EXPECT_NE(std::count(made.header().secret.begin(), made.header().secret.end(), 0), 32);
    EXPECT_TRUE(other.in_use());
}

TEST_F(ControlSegmentTest, ItsTablesDoNotOverlap) {
    const ControlSegment segment = value_or_throw(ControlSegment::create(id_));
    const auto* base = reinterpret_cast<const std::byte*>(&segment.header());
    const auto offset = [&](const void* place) { return static_cast<const std::byte*>(place) - base; };
    EXPECT_LE(offset(&segment.header() + 1), offset(&segment.member(0)));
    EXPECT_LE(offset(&segment.member(member_count_max - 1) + 1), offset(segment.view_buffer(0)));
    EXPECT_LE(offset(segment.view_buffer(2 * member_count_max - 1) + view_buffer_size),
              offset(&segment.log_head(0, 0)));
    EXPECT_LE(offset(&segment.log_head(member_count_max - 1, member_count_max - 1) + 1),
              offset(segment.once_cells().data()));
    EXPECT_LE(offset(segment.once_cells().data() + once_cell_count), offset(segment.faults().data()));
    EXPECT_LE(offset(segment.faults().data() + fault_count_max), offset(segment.events().data()));
    EXPECT_LE(offset(segment.events().data() + event_count), static_cast<std::ptrdiff_t>(control_size_bytes));
}

TEST_F(ControlSegmentTest, OnlyItsOwnerMayOpenIt) {
    const ControlSegment segment = value_or_throw(ControlSegment::create(id_));
    struct stat info {};
    ASSERT_EQ(fstat(open_file().get(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(ControlSegmentTest, AnIdThatCannotBeAFileNameIsRefused) {
    for (const std::string& bad : {std::string{}, std::string(41, 'x'), std::string{"a/b"}}) {
        const auto made = ControlSegment::create(bad);
        ASSERT_FALSE(made);
        EXPECT_EQ(made.error().code, Errc::invalid_argument);
    }
}

TEST_F(ControlSegmentTest, AJobThatIsNotThereIsNamed) {
    const auto attached = ControlSegment::attach(id_);
    ASSERT_FALSE(attached);
    EXPECT_EQ(attached.error().code, Errc::system);
    EXPECT_THAT(attached.error().sentence, HasSubstr(id_));
}

TEST_F(ControlSegmentTest, AnUnfinishedOneCannotBeAttachedTo) {
    {
        const FileDescriptor empty{shm_open(control_name(id_).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
        const auto attached = ControlSegment::attach(id_);
        ASSERT_FALSE(attached);
        EXPECT_EQ(attached.error().code, Errc::wrong_state);
    }
    ControlSegment made = value_or_throw(ControlSegment::create(id_));  // its maker left it empty
    const auto attached = ControlSegment::attach(id_);
    ASSERT_FALSE(attached);
    EXPECT_EQ(attached.error().code, Errc::wrong_state);
    made.publish();
    EXPECT_TRUE(ControlSegment::attach(id_));
}

TEST_F(ControlSegmentTest, AnotherVersionIsRefusedNamingBoth) {
    ControlSegment made = value_or_throw(ControlSegment::create(id_));
    made.header().version = layout_version + 41;
    made.publish();
    const auto attached = ControlSegment::attach(id_);
    ASSERT_FALSE(attached);
    EXPECT_EQ(attached.error().code, Errc::mismatch);
    EXPECT_THAT(attached.error().sentence, HasSubstr(std::to_string(layout_version + 41)));
}

TEST_F(ControlSegmentTest, AnotherSizeIsRefused) {
    ControlSegment made = value_or_throw(ControlSegment::create(id_));
    made.publish();
    ASSERT_EQ(ftruncate(open_file().get(), control_size_bytes + 4096), 0);
    const auto attached = ControlSegment::attach(id_);
    ASSERT_FALSE(attached);
    EXPECT_EQ(attached.error().code, Errc::mismatch);
}

TEST_F(ControlSegmentTest, ALivingJobKeepsItsId) {
    ControlSegment made = value_or_throw(ControlSegment::create(id_));
    made.header().settings_size = 5;
    made.publish();
    expect_refused();
    EXPECT_TRUE(listed_alive());
    EXPECT_EQ(value_or_throw(ControlSegment::attach(id_)).header().settings_size, 5U);
}

TEST_F(ControlSegmentTest, ALivingJobOfAnotherSizeKeepsItsIdToo) {
    ControlSegment made = value_or_throw(ControlSegment::create(id_));
    made.publish();
    ASSERT_EQ(ftruncate(open_file().get(), control_size_bytes + 4096), 0);
    expect_refused();
    EXPECT_TRUE(listed_alive());
    remove_dead_jobs();
    EXPECT_TRUE(name_exists());
}

TEST_F(ControlSegmentTest, WhatADeadJobLeftIsReplacedByAnEmptyOne) {
    create_and_die([](ControlSegment& segment) {
        segment.header().settings_size = 5;
        segment.member(7).steps = 3;
        segment.decide_outcome(Outcome::failed, Errc::internal, "old");
    });
    EXPECT_FALSE(listed_alive());
    const ControlSegment made = value_or_throw(ControlSegment::create(id_));
    EXPECT_EQ(made.header().settings_size, 0U);
    EXPECT_EQ(made.member(7).steps, 0U);
    EXPECT_EQ(made.outcome(), Outcome::running);
    EXPECT_NE(made.header().magic, control_magic);
}

TEST_F(ControlSegmentTest, AMemberThatLivesKeepsTheJobOfADeadCreator) {
    create_and_die([](ControlSegment& segment) {
        const pid_t test = getppid();
        segment.member(200).start_time = start_time_of(test);
        segment.member(200).standing = Standing::make(Presence::present, test, 1).bits;
    });
    expect_refused();
    const ControlSegment old = value_or_throw(ControlSegment::attach(id_));
    old.member(200).start_time -= 1;  // the pid was given to another process
    EXPECT_FALSE(old.in_use());
    EXPECT_TRUE(ControlSegment::create(id_));
}

TEST_F(ControlSegmentTest, AnAgentThatLivesKeepsTheJobOfADeadCreator) {
    create_and_die([](ControlSegment& segment) {
        const pid_t test = getppid();
        segment.header().agent_start_time = start_time_of(test);
        segment.header().agent_pid = static_cast<std::uint32_t>(test);
    });
    expect_refused();
    value_or_throw(ControlSegment::attach(id_)).header().agent_pid = 0;
    EXPECT_TRUE(ControlSegment::create(id_));
}

TEST_F(ControlSegmentTest, OnlyDeadJobsAreCleanedAway) {
    create_and_die([](ControlSegment&) {});
    const std::string other = testing_tools::unique_job_id();
    const ControlSegment living = value_or_throw(ControlSegment::create(other));
    remove_dead_jobs();
    EXPECT_FALSE(name_exists());
    EXPECT_FALSE(ControlSegment::create(other)) << "the living one was cleaned away";
    ControlSegment::remove(other);
}

TEST_F(ControlSegmentTest, TheFirstOutcomeStands) {
    ControlSegment segment = value_or_throw(ControlSegment::create(id_));
    EXPECT_EQ(segment.outcome_text(), "");
    const std::array<std::string, 2> sentences{std::string(4000, 'a'), std::string(3000, 'b')};
    constexpr int rounds = 3000;
    std::array<bool, 2> won{};
    std::atomic<int> arrived{0};
    const auto decide = [&](std::size_t self) {
        std::mt19937 random{static_cast<unsigned>(self)};
        for (int round = 1; round <= rounds; ++round) {
            ++arrived;
            while (arrived < 4 * round - 2) std::this_thread::yield();
            // Neither is always the first.
            for (std::uint64_t spin = random() % 64; spin > 0 && arrived > 0; --spin) {
            }
            won[self] = segment.decide_outcome(Outcome::failed, Errc::internal, sentences[self]);
            // Whoever sees an outcome sees the whole text of the one who decided.
            while (segment.outcome() < Outcome::completed) std::this_thread::yield();
            const std::string seen = segment.outcome_text();
            ++arrived;
            while (arrived < 4 * round) std::this_thread::yield();
            if (self == 1) continue;
            ASSERT_NE(won[0], won[1]) << "round " << round;
            ASSERT_EQ(seen, sentences[won[0] ? 0 : 1]);
            segment.header().outcome = static_cast<std::uint32_t>(Outcome::running);
        }
    };
    std::thread thread{decide, 1};
    decide(0);
    arrived = 4 * rounds;  // lets the other one go if this one has given up
    thread.join();
    ASSERT_TRUE(HasFailure() || segment.decide_outcome(Outcome::completed, Errc::internal, "first"));
    EXPECT_FALSE(segment.decide_outcome(Outcome::interrupted, Errc::interrupted, "too late"));
    EXPECT_EQ(segment.outcome_text(), "first");
    EXPECT_EQ(segment.outcome(), Outcome::completed);
}

TEST_F(ControlSegmentTest, ALongOutcomeIsCutAndEnds) {
    ControlSegment segment = value_or_throw(ControlSegment::create(id_));
    std::fill(segment.header().outcome_text.begin(), segment.header().outcome_text.end(), '#');
    const char after = segment.header().settings[0];
    EXPECT_TRUE(segment.decide_outcome(Outcome::failed, Errc::internal, std::string(10'000, 'z')));
    EXPECT_EQ(segment.outcome_text(), std::string(segment.header().outcome_text.size() - 1, 'z'));
    EXPECT_EQ(segment.header().settings[0], after);
}

}  // namespace
}  // namespace phoenix
