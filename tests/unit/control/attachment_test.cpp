#include "control/attachment.hpp"

#include "control/agent.hpp"
#include "memory/member_table.hpp"
#include "memory/settings.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace phoenix {
namespace {

using testing::HasSubstr;

/// Runs `work` in a child and gives back its exit status; 128 + signal if it was killed.
int in_child(const std::function<int()>& work) {
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(work());
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Two ends for telling "go on" between processes.
struct Pipe {
    Pipe() {
        int ends[2];
        if (pipe(ends) != 0) std::abort();
        read_end = FileDescriptor{ends[0]};
        write_end = FileDescriptor{ends[1]};
    }
    void tell() const {
        const char byte = 1;
        if (write(write_end.get(), &byte, 1) != 1) std::abort();
    }
    void wait() const {
        char byte = 0;
        if (read(read_end.get(), &byte, 1) != 1) std::abort();
    }
    FileDescriptor read_end;
    FileDescriptor write_end;
};

bool job_in_shm(const std::string& job_id) {
    const auto jobs = find_jobs();
    return std::any_of(jobs.begin(), jobs.end(), [&](const FoundJob& job) { return job.job_id == job_id; });
}

class Attachment : public testing::Test {
  protected:
    void SetUp() override {
        // The tests may themselves run below an mpirun or a pflight.
        for (const char* name : {job_variable, agent_variable, secret_variable, "PMIX_NAMESPACE",
                                 "OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_SIZE"})
            unsetenv(name);
    }
    static void set_environment(const Agent& agent) {
        for (const auto& [name, value] : agent.environment()) setenv(name.c_str(), value.c_str(), 1);
    }
    static void pretend_rank(const std::string& name_space, const char* local_size, const char* size) {
        setenv("PMIX_NAMESPACE", name_space.c_str(), 1);
        setenv("OMPI_COMM_WORLD_LOCAL_SIZE", local_size, 1);
        setenv("OMPI_COMM_WORLD_SIZE", size, 1);
    }
    static std::string failure_of_attaching() {
        const auto access = attach_or_found();
        return access ? "attached" : access.error().sentence;
    }
};

TEST_F(Attachment, AMemberSharesTheMemoryOfTheAgentThatStartedIt) {
    AgentOptions options;
    options.expected_members = 3;
    options.settings.checkpoint_every = 17;
    options.faults = {PlannedFault{.kind = FaultKind::stop, .target = 1, .step = 9, .resume_after_ns = 5}};
    auto agent = Agent::start(options);
    ASSERT_TRUE(agent) << agent.error().sentence;
    set_environment(**agent);
    const auto place = (*agent)->arena().reserve(4096);
    ASSERT_TRUE(place);
    const int status = in_child([&] {
        const auto access = attach_or_found();
        if (!access || access->founded || !access->has_agent) return 1;
        const ControlHeader& header = access->segment->header();
        const FaultEntry& fault = access->segment->faults()[0];
        const auto settings = load_settings(*access->segment);
        if (header.expected_members != 3 || header.agent_pid != static_cast<std::uint32_t>(getppid())) return 2;
        if (header.fault_count != 1 || fault.target != 1 || fault.step != 9 || fault.step_fraction >= 0) return 3;
        if (!settings || settings->checkpoint_every != 17) return 4;
        std::strcpy(access->arena.object<char[16]>(*place), "from the member");
        return 0;
    });
    EXPECT_EQ(status, 0);
    EXPECT_STREQ((*agent)->arena().object<char[16]>(*place), "from the member");
    const std::string job_id = (*agent)->segment().job_id();
    EXPECT_TRUE(job_in_shm(job_id));
    agent->reset();
    EXPECT_FALSE(job_in_shm(job_id));
}

TEST_F(Attachment, AMemberWithAnotherSecretIsRefused) {
    auto agent = Agent::start({});
    ASSERT_TRUE(agent);
    set_environment(**agent);
    std::string secret = secret_text((*agent)->segment().header().secret);
    EXPECT_TRUE(secret_matches((*agent)->segment().header(), secret));
    secret.back() = secret.back() == '0' ? '1' : '0';
    EXPECT_FALSE(secret_matches((*agent)->segment().header(), secret));
    setenv(secret_variable, secret.c_str(), 1);
    EXPECT_THAT(failure_of_attaching(), HasSubstr("does not hold the secret of job"));
    unsetenv(secret_variable);
    EXPECT_THAT(failure_of_attaching(), HasSubstr("does not hold the secret of job"));
}

TEST_F(Attachment, AJobThatIsGoneIsNamedWithTheRemedy) {
    setenv(job_variable, "attachment-test-gone", 1);
    EXPECT_THAT(failure_of_attaching(), HasSubstr("There is no job 'attachment-test-gone'"));
    EXPECT_THAT(failure_of_attaching(), HasSubstr("unset PHOENIX_JOB"));
}

TEST_F(Attachment, TwoLivingJobsMayNotHaveOneId) {
    AgentOptions options;
    options.job_id = draw_job_id();
    auto first = Agent::start(options);
    ASSERT_TRUE(first);
    auto second = Agent::start(options);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::refused);
    EXPECT_THAT(second.error().sentence, HasSubstr("running already"));
    EXPECT_TRUE(job_in_shm(options.job_id));
}

TEST_F(Attachment, WhatADeadJobLeftUnderTheSameIdIsReplaced) {
    AgentOptions options;
    options.job_id = draw_job_id();
    // Another job that starts at the same time removes what dead ones left, as it should: then once more.
    for (int attempt = 0; attempt < 20 && !job_in_shm(options.job_id); ++attempt) {
        const int status = in_child([&] {
            const auto agent = Agent::start(options);
            if (agent) kill(getpid(), SIGKILL);
            return 1;
        });
        ASSERT_EQ(status, 128 + SIGKILL);
    }
    ASSERT_TRUE(job_in_shm(options.job_id));
    const auto agent = Agent::start(options);
    ASSERT_TRUE(agent) << agent.error().sentence;
    EXPECT_EQ((*agent)->segment().header().creator_pid, getpid());
}

TEST_F(Attachment, AMemberThatComesAfterTheAgentWasKilledGetsTheArenaFromALivingMember) {
    AgentOptions options;
    options.job_id = draw_job_id();
    const Pipe environment;
    const pid_t agent_process = fork();
    if (agent_process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const auto agent = Agent::start(options);
        if (!agent) _exit(1);
        std::string text;
        for (const auto& [name, value] : (*agent)->environment()) text += value + '\n';
        if (write(environment.write_end.get(), text.c_str(), text.size() + 1) < 0) _exit(2);
        for (;;) pause();
    }
    std::string text;
    for (char byte = 1; read(environment.read_end.get(), &byte, 1) == 1 && byte != 0;) text += byte;
    const std::size_t first = text.find('\n');
    const std::size_t second = text.find('\n', first + 1);
    setenv(job_variable, text.substr(0, first).c_str(), 1);
    setenv(agent_variable, text.substr(first + 1, second - first - 1).c_str(), 1);
    setenv(secret_variable, text.substr(second + 1, 64).c_str(), 1);

    auto member = attach_or_found();
    ASSERT_TRUE(member) << member.error().sentence;
    MemberRecord& record = member->segment->member(0);
    record.start_time = own_identity().start_time;
    record.standing = Standing::make(Presence::present, getpid(), 1).bits;
    const auto place = member->arena.reserve(4096);
    ASSERT_TRUE(place);
    kill(agent_process, SIGKILL);
    waitpid(agent_process, nullptr, 0);

    const int status = in_child([&] {
        const auto late = attach_or_found();
        if (!late || !late->has_agent) return 1;
        late->arena.object<int>(*place) = 4711;
        return 0;
    });
    EXPECT_EQ(status, 0);
    EXPECT_EQ(member->arena.object<int>(*place), 4711);
    ControlSegment::remove(options.job_id);
}

TEST_F(Attachment, AProgramAloneFoundsAJobOfOne) {
    std::string job_id;
    {
        const auto access = attach_or_found();
        ASSERT_TRUE(access) << access.error().sentence;
        EXPECT_TRUE(access->founded);
        EXPECT_FALSE(access->has_agent);
        EXPECT_EQ(access->segment->header().expected_members, 1U);
        EXPECT_EQ(access->segment->header().arena_is_named, 0U);
        job_id = access->segment->job_id();
        EXPECT_TRUE(access->arena.reserve(4096));
    }
    ControlSegment::remove(job_id);
}

TEST_F(Attachment, RanksOfOneMpirunThatStartAtOnceShareOneJob) {
    constexpr int ranks = 8;
    const std::string name_space = "test@" + draw_job_id();
    pretend_rank(name_space, "8", "8");
    // Half of the rounds begin with what a dead job of the same name left.
    for (int round = 0; round < 10; ++round) {
        const Pipe start;
        const Pipe attached;
        const Pipe finish;
        std::array<pid_t, ranks> children{};
        for (pid_t& child : children) {
            child = fork();
            if (child != 0) continue;
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            start.wait();
            const auto access = attach_or_found();
            if (!access) {
                attached.tell();
                _exit(1);
            }
            const bool good =
                access->segment->header().expected_members == ranks && access->segment->header().arena_is_named == 1;
            // Counted in shared memory: were there two jobs, none would count all.
            const std::uint64_t count = access->segment->header().next_order.fetch_add(1) + 1;
            attached.tell();
            finish.wait();
            const bool all = access->segment->header().next_order.load() == ranks;
            if (count == 1 && round % 2 == 0) ControlSegment::remove(access->segment->job_id());
            _exit(good && all ? (access->founded ? 10 : 0) : 2);
        }
        for (int rank = 0; rank < ranks; ++rank) start.tell();
        for (int rank = 0; rank < ranks; ++rank) attached.wait();
        for (int rank = 0; rank < ranks; ++rank) finish.tell();
        int founders = 0;
        for (const pid_t child : children) {
            int status = 0;
            waitpid(child, &status, 0);
            ASSERT_TRUE(WIFEXITED(status));
            founders += WEXITSTATUS(status) == 10 ? 1 : 0;
            EXPECT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 10) << WEXITSTATUS(status);
        }
        EXPECT_EQ(founders, 1);
    }
    remove_dead_jobs();
}

TEST_F(Attachment, AnMpirunOverSeveralNodesIsRefused) {
    pretend_rank("test-several-nodes", "2", "4");
    EXPECT_THAT(failure_of_attaching(), HasSubstr("start all ranks on one node"));
}

TEST_F(Attachment, OnlyTheAgentsUserGetsTheArena) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
    auto agent = Agent::start({});
    ASSERT_TRUE(agent);
    set_environment(**agent);
    const int status = in_child([&] {
        if (setresuid(65534, 65534, 65534) != 0) return 1;
        return attach_or_found() ? 2 : 0;
    });
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace phoenix
