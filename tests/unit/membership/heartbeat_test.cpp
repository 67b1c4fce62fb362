#include "membership/heartbeat.hpp"

#include <gtest/gtest.h>

namespace phoenix {
namespace {

constexpr HangLimits limits{.missed_ticks_max = 4, .late_tick_ns = 200};
constexpr MemberSlot other{3};

/// An observer with ticks of 50 ns and one observed member.
struct Observer {
    HangDetector detector{limits};
    std::uint64_t now{1000};

    Liveness tick(std::uint64_t heartbeat, bool traced = false, std::uint64_t after = 50) {
        now += after;
        detector.begin_tick(now);
        return detector.observe(HeartbeatSample{other, Incarnation{1}, heartbeat, traced});
    }
};

TEST(HangDetector, AMemberWithoutHeartbeatForNOwnTicksIsHung) {
    Observer observer;
    EXPECT_EQ(observer.tick(7), Liveness::alive);
    for (int tick = 1; tick < 4; ++tick) {
        EXPECT_EQ(observer.tick(7), Liveness::alive) << tick;
    }
    EXPECT_EQ(observer.tick(7), Liveness::hung);
    EXPECT_EQ(observer.tick(8), Liveness::alive) << "it came back before it was killed";
}

TEST(HangDetector, AHeartbeatNowAndThenIsEnough) {
    Observer observer;
    for (std::uint64_t tick = 0; tick < 100; ++tick) {
        EXPECT_EQ(observer.tick(tick / 4), Liveness::alive) << tick;
    }
}

TEST(HangDetector, ALateOwnTickStartsAnew) {
    Observer observer;
    observer.tick(7);
    for (int round = 0; round < 10; ++round) {
        for (int tick = 0; tick < 3; ++tick) {
            // The first tick of a round is late: everything was suspended, the observer with it.
            EXPECT_EQ(observer.tick(7, false, tick == 0 ? 100'000 : 50), Liveness::alive);
        }
    }
    EXPECT_EQ(observer.tick(7), Liveness::hung);
}

TEST(HangDetector, ATracedMemberIsNeverHung) {
    Observer observer;
    for (int tick = 0; tick < 100; ++tick) {
        EXPECT_EQ(observer.tick(7, true), Liveness::alive);
    }
    for (int tick = 1; tick < 4; ++tick) {
        EXPECT_EQ(observer.tick(7), Liveness::alive) << "counts from when the debugger let go";
    }
    EXPECT_EQ(observer.tick(7), Liveness::hung);
}

TEST(HangDetector, AsksWhoTracesOnlyWhenItMatters) {
    Observer observer;
    EXPECT_FALSE(observer.detector.suspects(other));
    for (int tick = 0; tick < 3; ++tick) {
        observer.tick(7);
        EXPECT_FALSE(observer.detector.suspects(other)) << tick;
    }
    observer.tick(7);
    EXPECT_TRUE(observer.detector.suspects(other));
}

TEST(HangDetector, ANewProcessInTheSlotCountsFromItsFirstSample) {
    Observer observer;
    for (int tick = 0; tick < 4; ++tick) {
        observer.tick(7);
    }
    EXPECT_EQ(observer.detector.observe(HeartbeatSample{other, Incarnation{2}, 7, false}), Liveness::alive);
    EXPECT_FALSE(observer.detector.suspects(other));
}

}  // namespace
}  // namespace phoenix
