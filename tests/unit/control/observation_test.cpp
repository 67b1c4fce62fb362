#include "control/observation.hpp"

#include "control/agent.hpp"

#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace phoenix {
namespace {

using testing::HasSubstr;

std::string name(const char* what) { return "observed-" + std::to_string(getpid()) + "-" + what; }

std::string refusal_of(std::string_view wanted, const std::vector<FoundJob>& jobs) {
    const auto job = meant_job(wanted, jobs);
    return job ? "found " + *job : job.error().sentence;
}

std::string failure_of_observing(const std::string& wanted) {
    const auto job = observe_job(wanted);
    return job ? "observed" : job.error().sentence;
}

TEST(MeantJob, IsTheOnlyOneThatLives) {
    EXPECT_EQ(refusal_of("", {{"dead", false}, {"living", true}}), "found living");
    EXPECT_THAT(refusal_of("", {}), HasSubstr("No job of this user runs on this machine"));
    EXPECT_THAT(refusal_of("", {{"dead", false}}), HasSubstr("No job of this user runs on this machine"));
}

TEST(MeantJob, OfSeveralMustBeNamed) {
    const std::vector<FoundJob> jobs{{"a", true}, {"b", false}, {"c", true}};
    EXPECT_THAT(refusal_of("", jobs), HasSubstr("2 jobs run here (a, c); say with --job ID"));
    EXPECT_EQ(refusal_of("c", jobs), "found c");
    EXPECT_THAT(refusal_of("d", jobs), HasSubstr("no job 'd' of this user on this machine; there runs: a, c"));
    EXPECT_THAT(refusal_of("d", {}), HasSubstr("none runs"));
}

TEST(MeantJob, OfSeveralNodesCountsAsOne) {
    EXPECT_EQ(refusal_of("", {{"a.0", true}, {"a.1", true}}), "found a");
    EXPECT_EQ(refusal_of("a", {{"a.0", false}, {"a.12", true}, {"b", true}}), "found a");
    EXPECT_THAT(refusal_of("", {{"a.0", true}, {"a.1", true}, {"b", true}}), HasSubstr("2 jobs run here (a, b)"));
    EXPECT_THAT(refusal_of("a", {{"a.0", false}, {"a.1", false}}), HasSubstr("The job 'a' is dead"));
    EXPECT_EQ(job_of_segment("a.1"), "a");
    EXPECT_EQ(job_of_segment("a"), "a");
    EXPECT_EQ(job_of_segment("a.b"), "a.b");
    EXPECT_EQ(job_of_segment(".1"), ".1");
    EXPECT_EQ(job_of_segment("a."), "a.");
}

TEST(Observation, MapsTheNodesOfAJobInTheirOrder) {
    AgentOptions options;
    options.node_count = 3;
    std::vector<std::unique_ptr<Agent>> agents;
    for (const std::uint32_t node : {2U, 0U}) {
        options.job_id = name("nodes") + "." + std::to_string(node);
        options.node_id = node;
        auto agent = Agent::start(options);
        ASSERT_TRUE(agent) << agent.error().sentence;
        agents.push_back(std::move(*agent));
    }
    const auto nodes = observe_nodes(name("nodes"));
    ASSERT_TRUE(nodes) << nodes.error().sentence;
    ASSERT_EQ(nodes->size(), 2U);
    EXPECT_EQ((*nodes)[0].segment->header().node_id, 0U);
    EXPECT_EQ((*nodes)[1].segment->header().node_id, 2U);
}

TEST(MeantJob, ThatIsDeadIsRefusedWithTheRemedy) {
    EXPECT_THAT(refusal_of("b", {{"b", false}}), HasSubstr("The job 'b' is dead"));
    EXPECT_THAT(refusal_of("b", {{"b", false}}), HasSubstr("pflight clean"));
}

TEST(Observation, SharesTheMemoryOfTheJob) {
    AgentOptions options;
    options.job_id = name("shared");
    auto agent = Agent::start(options);
    ASSERT_TRUE(agent) << agent.error().sentence;
    const auto place = (*agent)->arena().reserve(4096);
    ASSERT_TRUE(place);
    std::strcpy((*agent)->arena().object<char[16]>(*place), "from the job");
    const auto job = observe_job(options.job_id);
    ASSERT_TRUE(job) << job.error().sentence;
    EXPECT_EQ(job->segment->job_id(), options.job_id);
    EXPECT_STREQ(job->arena.object<char[16]>(*place), "from the job");
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot)
        EXPECT_EQ(job->segment->member(slot).standing.load(), 0U) << "whoever looks takes no slot";
}

TEST(Observation, OfAnotherVersionIsRefused) {
    AgentOptions options;
    options.job_id = name("version");
    auto agent = Agent::start(options);
    ASSERT_TRUE(agent);
    (*agent)->segment().header().version = layout_version + 1;
    EXPECT_THAT(failure_of_observing(options.job_id), HasSubstr("use the same version of PhoenixFlight"));
}

TEST(Observation, OfAJobInTheMakingSaysSo) {
    const std::string id = name("making");
    const auto segment = ControlSegment::create(id);
    ASSERT_TRUE(segment);
    EXPECT_THAT(failure_of_observing(id), HasSubstr("is just being made: try again"));
    segment->header().creator_pid = 0;  // its maker has not come so far yet
    EXPECT_THAT(failure_of_observing(id), HasSubstr("is just being made: try again"));
    ControlSegment::remove(id);
}

TEST(Observation, OfAnotherUsersJobIsRefused) {
    const std::string id = name("foreign");
    const std::string file = "/phoenix." + std::to_string(getuid() + 1) + "." + id;
    const FileDescriptor made{shm_open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    ASSERT_TRUE(made.valid());
    const std::string failure = failure_of_observing(id);
    shm_unlink(file.c_str());
    EXPECT_THAT(failure, HasSubstr("belongs to another user"));
    EXPECT_THAT(failure_of_observing(id), HasSubstr("There is no job"));
}

TEST(Observation, OfADeadJobIsRefused) {
    const std::string id = name("dead");
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        auto segment = ControlSegment::create(id);
        if (segment) segment->publish();
        _exit(segment ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    ASSERT_EQ(status, 0);
    EXPECT_THAT(failure_of_observing(id), HasSubstr("is dead"));
    ControlSegment::remove(id);
}

TEST(Observation, NeedsAProcessThatHoldsTheMemory) {
    const std::string id = name("closed");
    auto segment = ControlSegment::create(id);  // this process lives, and has no arena
    ASSERT_TRUE(segment);
    segment->publish();
    EXPECT_THAT(failure_of_observing(id), HasSubstr("cannot be reached"));
    ControlSegment::remove(id);
}

}  // namespace
}  // namespace phoenix
