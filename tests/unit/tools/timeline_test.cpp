#include "pflight/timeline.hpp"

#include "control/agent.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace phoenix::pflight {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t millisecond = 1'000'000;

class TimelineTest : public testing::Test {
  protected:
    void SetUp() override {
        AgentOptions options;
        options.faults = {PlannedFault{.kind = FaultKind::kill}, PlannedFault{.kind = FaultKind::stop}};
        agent_ = std::move(*Agent::start(options));
    }
    void take(EventKind kind, std::uint32_t subject, std::uint64_t detail, std::uint32_t peer, std::uint64_t time) {
        timeline_.take({kind, subject, detail, peer, time, 0}, agent_->segment());
    }
    std::unique_ptr<Agent> agent_;
    std::vector<std::string> lines_;
    Timeline timeline_{0, [this](const std::string& line) { lines_.push_back(line); }};
};

TEST_F(TimelineTest, TellsARecoveryFromTheEarliestNoticeOfTheDeath) {
    take(EventKind::fault_fired, 2, 0, 0, 10 * millisecond);
    timeline_.process_ended(2, 11 * millisecond, "SIGKILL");
    take(EventKind::death_seen, 2, 0, 0, 12 * millisecond);
    take(EventKind::member_failed, 2, 5, 0, 13 * millisecond);
    take(EventKind::adopted, 1, 16, 2, 14 * millisecond);
    take(EventKind::adopted, 3, 16, 2, 15 * millisecond);
    take(EventKind::resumed, 3, 40, 2, 16 * millisecond);
    take(EventKind::resumed, 1, 33, 2, 18 * millisecond);
    EXPECT_THAT(lines_,
                ElementsAre(HasSubstr("member 2 is killed as planned"), HasSubstr("(+2.00 ms)"),
                            HasSubstr("view 5 without member 2"),
                            HasSubstr("member 1 took over 16 VNodes of member 2  (+4.00 ms)"), HasSubstr("(+5.00 ms)"),
                            HasSubstr("(+6.00 ms)  <- time from death to recovery"), HasSubstr("(+8.00 ms)")));
    EXPECT_EQ(timeline_.summary(),
              "1 member lost, 32 VNodes recovered; from death to the first repeated step: 6.00 ms");
}

TEST_F(TimelineTest, AMemberThatIsOnlyStoppedIsNotLost) {
    take(EventKind::fault_fired, 1, 1, 0, millisecond);
    EXPECT_EQ(timeline_.summary(), "");
    EXPECT_THAT(lines_, ElementsAre(HasSubstr("stopped as planned")));
}

TEST_F(TimelineTest, ASlotThatIsUsedAgainDiesASecondTime) {
    timeline_.process_ended(0, millisecond, "SIGKILL");
    take(EventKind::member_joined, 0, 77, 0, 2 * millisecond);
    timeline_.process_ended(0, 3 * millisecond, "SIGKILL");
    EXPECT_EQ(timeline_.recoveries().size(), 2U);
    EXPECT_THAT(timeline_.summary(), HasSubstr("2 members lost"));
}

TEST_F(TimelineTest, AdoptionsWithoutADeathCountAsNoRecovery) {
    take(EventKind::adopted, 1, 1, 0, millisecond);
    take(EventKind::resumed, 1, 4, 0, 2 * millisecond);
    EXPECT_EQ(timeline_.summary(), "");
    EXPECT_THAT(lines_, ElementsAre(HasSubstr("took over 1 VNode of member 0"), HasSubstr("of VNode 4 of member 0")));
}

TEST_F(TimelineTest, NamesMembersOfANodeAndCountsPortsAsNoMembers) {
    Timeline node{0, [this](const std::string& line) { lines_.push_back(line); }, 1};
    node.know_port(255);
    node.take({EventKind::member_joined, 2, 77, 0, millisecond, 0}, PlannedFault{});
    node.take({EventKind::port_started, 1, 78, 0, millisecond, 1}, PlannedFault{});
    node.take({EventKind::fault_fired, 0, 0, 0, millisecond, 0}, PlannedFault{.kind = FaultKind::kill_port});
    node.process_ended(255, millisecond, "SIGKILL");
    node.take({EventKind::member_failed, 255, 5, 0, millisecond, 0}, PlannedFault{});
    node.take({EventKind::adopted, 2, 3, 255, millisecond, 0}, PlannedFault{});
    EXPECT_THAT(lines_,
                ElementsAre(HasSubstr("member 1.2 attached (process 77)"),
                            HasSubstr("process 78 started as port 1, anew"), HasSubstr("port 1 is killed as planned"),
                            HasSubstr("port 1 died (SIGKILL)"), HasSubstr("member 1.2 took over 3 VNodes of port 1")));
    EXPECT_EQ(node.summary(), "") << "no member was lost";
}

TEST_F(TimelineTest, RemembersTheLastCheckpoint) {
    EXPECT_FALSE(timeline_.last_checkpoint());
    take(EventKind::checkpoint_written, 0, 20, 0, millisecond);
    take(EventKind::checkpoint_written, 0, 40, 0, millisecond);
    EXPECT_EQ(timeline_.last_checkpoint(), 40U);
}

}  // namespace
}  // namespace phoenix::pflight
