#include "messaging/doorbell.hpp"

#include <ctime>
#include <gtest/gtest.h>
#include <random>

#include "base/clock.hpp"
#include "unit/memory/test_job.hpp"

namespace phoenix {
namespace {

using testing_tools::ChildProcess;
using testing_tools::TestJob;

constexpr std::uint64_t second_ns = 1'000'000'000;

class Doorbell : public testing::Test {
  protected:
    TestJob job_;
    MemberRecord& self_{job_.segment.member(0)};
};

TEST_F(Doorbell, RungBeforeItSleepsAMemberDoesNotSleep) {
    prepare_sleep(self_);
    ring_if_sleeping(self_);
    EXPECT_EQ(self_.sleeping, 0U);
    sleep_until_rung(self_, 3600 * second_ns);  // would outlast the test
    prepare_sleep(self_);
    cancel_sleep(self_);
    EXPECT_EQ(self_.sleeping, 0U);
}

TEST_F(Doorbell, NobodyRingsAfterATimeout) {
    const std::uint64_t before = boot_time_ns();
    prepare_sleep(self_);
    sleep_until_rung(self_, 20'000'000);
    EXPECT_GE(boot_time_ns(), before + 10'000'000);  // the clocks need not agree to the last digit
    EXPECT_EQ(self_.sleeping, 0U) << "others would wake it for nothing";
}

TEST_F(Doorbell, AttentionCountsAndWakes) {
    ring_attention(self_);
    EXPECT_EQ(self_.attention, 1U);
    EXPECT_EQ(self_.sleeping, 0U);
    prepare_sleep(self_);
    ring_attention(self_);
    EXPECT_EQ(self_.attention, 2U);
    sleep_until_rung(self_, 3600 * second_ns);
}

TEST_F(Doorbell, AProcessThatSleepsIsWokenByAnother) {
    ChildProcess child{[&] {
        MemberRecord& theirs = job_.segment.member(1);
        for (;;) {
            prepare_sleep(theirs);
            if (theirs.attention != 0) return 0;
            sleep_until_rung(theirs, 3600 * second_ns);
        }
    }};
    // Most likely asleep in the kernel by then; rung too early, it does not sleep at all.
    while (job_.segment.member(1).sleeping == 0) sched_yield();
    ring_attention(job_.segment.member(1));
    EXPECT_EQ(child.ended(), 0);
}

/// Two processes that wait for each other's next number in turn, as members wait for records.
class PingPong {
  public:
    static constexpr std::uint64_t patience_ns = 10 * second_ns;

    PingPong(const TestJob& job, std::uint32_t self, std::uint32_t other)
        : self_(&job.segment.member(self)), other_(&job.segment.member(other)), random_(self) {}

    /// Publishes `number`: a store, the fence that senders owe, the bell.
    void publish(std::uint64_t number) {
        other_->activity.store(number, std::memory_order_release);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        ring_if_sleeping(*other_);
    }
    /// Waits for `number`; false if a wake-up was lost: it was there, and we slept as long as we could.
    [[nodiscard]] bool wait_for(std::uint64_t number) {
        // At once, or after a while of any order of magnitude, so that publishing meets every place of going to sleep.
        for (std::uint64_t spin = random_() % (1U << (random_() % 15)); spin > 0; --spin)
            if (self_->activity.load(std::memory_order_acquire) >= number) return true;
        while (self_->activity.load(std::memory_order_acquire) < number) {
            prepare_sleep(*self_);
            if (self_->activity.load(std::memory_order_acquire) >= number) {
                cancel_sleep(*self_);
                return true;
            }
            ++sleeps_;
            const std::uint64_t begin = boot_time_ns();
            sleep_until_rung(*self_, patience_ns);
            if (boot_time_ns() - begin >= patience_ns) return false;
        }
        return true;
    }
    [[nodiscard]] std::uint64_t sleeps() const { return sleeps_; }

  private:
    MemberRecord* self_;
    MemberRecord* other_;
    std::mt19937 random_;
    std::uint64_t sleeps_{0};
};

TEST_F(Doorbell, NoWakeUpIsLostBetweenTwoProcesses) {
    constexpr std::uint64_t rounds_max = 300'000;
    constexpr std::uint64_t last = ~std::uint64_t{0};
    ChildProcess child{[&] {
        PingPong theirs{job_, 1, 0};
        for (std::uint64_t number = 1; number <= rounds_max; ++number) {
            if (!theirs.wait_for(number)) return 1;
            if (job_.segment.member(1).activity == last) return 0;
            theirs.publish(number);
        }
        return 0;
    }};
    PingPong own{job_, 0, 1};
    const std::uint64_t enough = boot_time_ns() + 5 * second_ns;
    std::uint64_t number = 1;
    for (; number <= rounds_max && boot_time_ns() < enough; ++number) {
        own.publish(number);
        ASSERT_TRUE(own.wait_for(number)) << "a wake-up was lost in round " << number;
    }
    own.publish(last);
    EXPECT_EQ(child.ended(), 0) << "the other side lost a wake-up";
    EXPECT_GT(own.sleeps(), 0U);
}

}  // namespace
}  // namespace phoenix
