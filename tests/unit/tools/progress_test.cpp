#include "pflight/progress.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace phoenix::pflight {
namespace {

ProgressSample sample(std::uint64_t seconds, double step) {
    ProgressSample result;
    result.time_ns = seconds * 1'000'000'000;
    result.members = 3;
    result.recoveries = 16;
    JobProgress job;
    job.domain = "plate";
    job.phase = 1;
    job.step_mean = step;
    job.steps_total = 300;
    result.job = job;
    return result;
}

TEST(ProgressText, ShowsStepRateMembersRecoveriesAndTheTimeLeft) {
    EXPECT_EQ(progress_text(sample(12, 120), sample(10, 100)),
              "plate: step 120/300  10 steps/s  3 members  16 VNodes recovered  ETA 18 s");
}

TEST(ProgressText, ShowsLongWaits) {
    ProgressSample now = sample(2, 100);
    now.job->long_wait = "VNode 3 waits for VNode 4";
    EXPECT_NE(progress_text(now, sample(1, 99)).find("[VNode 3 waits for VNode 4]"), std::string::npos);
}

TEST(ProgressText, ComparesNoStepsOfDifferentPhases) {
    ProgressSample before = sample(1, 250);
    before.job->phase = 0;
    EXPECT_EQ(progress_text(sample(2, 260), before), "plate: step 260/300  0 steps/s  3 members  16 VNodes recovered");
}

TEST(ProgressText, GoesBackWithoutANegativeRate) {
    EXPECT_EQ(progress_text(sample(2, 10), sample(1, 100)),
              "plate: step 10/300  0 steps/s  3 members  16 VNodes recovered");
}

TEST(ProgressText, DoesWithoutADomain) {
    ProgressSample before;
    ProgressSample now;
    now.time_ns = 2'000'000'000;
    now.vnode_steps = 500;
    now.members = 1;
    EXPECT_EQ(progress_text(now, before), "500 VNode steps  250/s  1 member");
}

TEST(MergedProgress, SumsNodesAndWeighsStepsByTheirVNodes) {
    ProgressSample first = sample(10, 100);
    ProgressSample second = sample(11, 40);
    first.job->vnodes_here = 2;
    first.job->step_min = 90;
    second.job->vnodes_here = 4;
    second.job->step_min = 30;
    const ProgressSample job = merged({first, second});
    EXPECT_EQ(job.members, 6U);
    EXPECT_EQ(job.recoveries, 32U);
    EXPECT_EQ(job.job->step_mean, 60.0);
    EXPECT_EQ(job.job->step_min, 30U);
    EXPECT_EQ(job.job->steps_total, 300U);
}

TEST(MergedProgress, CountsNodesInAnEarlierPhaseAsNotBegun) {
    ProgressSample first = sample(10, 100);
    ProgressSample second = sample(10, 50);
    first.job->vnodes_here = second.job->vnodes_here = 1;
    second.job->phase = 2;
    EXPECT_EQ(merged({first, second}).job->step_mean, 25.0);
    EXPECT_EQ(merged({first, second}).job->phase, 2U);
    EXPECT_FALSE(merged({ProgressSample{}, ProgressSample{}}).job);
    second.job->vnodes_here = first.job->vnodes_here = 0;
    EXPECT_EQ(merged({first, second}).job->step_mean, 0.0);
}

TEST(ProgressJson, HoldsTheSameNumbers) {
    const auto json = nlohmann::json::parse(progress_json(sample(12, 120), sample(10, 100)));
    EXPECT_EQ(json.at("domain"), "plate");
    EXPECT_EQ(json.at("steps_per_second"), 10.0);
    EXPECT_EQ(json.at("steps_total"), 300);
    EXPECT_EQ(json.at("members"), 3);
}

}  // namespace
}  // namespace phoenix::pflight
