#include "runtime/attachment_record.hpp"

#include "control/agent.hpp"
#include "memory/member_table.hpp"

#include <csignal>
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>

namespace phoenix {
namespace {

using testing::HasSubstr;

/// A job whose member table this process fills.
class Registration : public testing::Test {
  protected:
    void SetUp() override {
        agent_ = std::move(*Agent::start({}));
        for (const auto& [name, value] : agent_->environment()) setenv(name.c_str(), value.c_str(), 1);
    }
    void TearDown() override {
        std::signal(SIGTERM, SIG_DFL);
        for (const auto& [name, value] : agent_->environment()) unsetenv(name.c_str());
    }
    void fill(std::uint32_t members) {
        for (std::uint32_t slot = 0; slot < members; ++slot) {
            const auto claimed = claim_slot(agent_->segment());
            ASSERT_TRUE(claimed);
            announce(agent_->segment().member(claimed->slot), Presence::present);
        }
    }
    std::unique_ptr<Agent> agent_;
};

TEST_F(Registration, AFurtherMemberIsRefusedInASentenceAndLeavesNothing) {
    fill(member_count_max);
    const auto refused = register_member();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::refused);
    EXPECT_THAT(refused.error().sentence, HasSubstr("is full: 256 members live"));
    EXPECT_THAT(refused.error().sentence, HasSubstr("wait until one retires"));
    EXPECT_EQ(refused.error().sentence.find('\n'), std::string::npos);
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot)
        EXPECT_EQ(identity_of(agent_->segment().member(slot)).incarnation, 1U);
}

TEST_F(Registration, ASlotThatWasGivenBackIsTakenByTheNextIncarnation) {
    fill(3);
    MemberRecord& record = agent_->segment().member(1);
    record.fault_signal = 11;
    announce(record, Presence::leaving);
    ASSERT_TRUE(vacate_slot(agent_->segment(), 1, 1));
    const auto context = register_member();
    ASSERT_TRUE(context) << context.error().sentence;
    EXPECT_EQ(context->slot, 1U);
    EXPECT_EQ(context->incarnation, 2U);
    EXPECT_EQ(context->record().fault_signal, 0U);
    EXPECT_EQ(identity_of(context->record()).presence, Presence::present);
}

TEST_F(Registration, WhoeverSeesAMemberMayAskItToRetireBySigterm) {
    const auto context = register_member();
    ASSERT_TRUE(context) << context.error().sentence;
    ASSERT_EQ(identity_of(context->record()).presence, Presence::present);
    raise(SIGTERM);
    EXPECT_EQ(retire_word(context->record()).wish(), RetireWish::wanted) << "and it lives";
}

TEST_F(Registration, WhoJoinsANodeThatIsOverLeavesAgainInGoodOrder) {
    agent_->segment().header().nodes_over = 1;
    EXPECT_EXIT((void)register_member(), testing::ExitedWithCode(0), "");
    const MemberRecord& record = agent_->segment().member(0);
    EXPECT_EQ(identity_of(record).presence, Presence::leaving);
    EXPECT_EQ(record.drained.load(), 1U) << "it did not finish anything";
    const auto port = register_member(MemberRole::port);
    EXPECT_TRUE(port) << "a port is needed all the same";
}

}  // namespace
}  // namespace phoenix
