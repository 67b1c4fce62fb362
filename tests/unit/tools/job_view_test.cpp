#include "pflight/job_view.hpp"

#include "memory/member_table.hpp"
#include "memory/settings.hpp"
#include "pflight/nodes_report.hpp"
#include "runtime/crash_report.hpp"

#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace phoenix::pflight {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint32_t vnode_count = 4;

/// A job of four members: 0 has died unnoticed, 1 is active, 2 drains, 3 is not admitted yet; a domain 'plate' and a
/// space.
class JobViewTest : public testing::Test {
  protected:
    void SetUp() override {
        const std::string id = "view-" + std::to_string(getpid());
        auto segment = ControlSegment::create(id);
        ASSERT_TRUE(segment) << segment.error().sentence;
        ControlSegment::remove(id);  // the mapping stays
        segment_ = std::make_unique<ControlSegment>(std::move(*segment));
        ASSERT_TRUE(store_settings({}, *segment_));
        auto file = Arena::create(*segment_, false);
        ASSERT_TRUE(file);
        auto arena = Arena::map(*segment_, std::move(*file));
        ASSERT_TRUE(arena) << arena.error().sentence;
        arena_ = std::move(*arena);
        make_domain(0, "plate", DomainKind::domain);
        make_domain(1, "tree", DomainKind::space);
        for (std::uint32_t slot = 0; slot < 4; ++slot) attach(slot);
        segment_->member(1).executing.store(executing_word(0, 2, 17));
        View view = next_of({});
        for (const std::uint32_t slot : {0U, 2U, 1U}) view = with_active(view, MemberSlot{slot}, Incarnation{1});
        show(with_draining(view, MemberSlot{2}));
    }

    void make_domain(std::uint32_t index, const char* name, DomainKind kind) {
        const std::uint64_t offset = *arena_.reserve(sizeof(DomainHeader));
        auto& domain = arena_.object<DomainHeader>(offset);
        domain.index = index;
        domain.kind = static_cast<std::uint32_t>(kind);
        domain.vnodes = vnode_count;
        std::strcpy(domain.name.data(), name);
        domain.slot_size = sizeof(CommitSlot);
        domain.record_stride = sizeof(VNodeRecord) + 2 * sizeof(CommitSlot);
        domain.records_offset = *arena_.reserve(vnode_count * std::uint64_t{domain.record_stride});
        domain.directory_offset = *arena_.reserve(vnode_count * 8);
        domain.phase.store(2);
        domain.phase_steps.store(100);
        segment_->header().domains[index].store(offset);
        domains_[index] = &domain;
    }
    void attach(std::uint32_t slot) { stand(slot, Presence::present, 1); }
    void stand(std::uint32_t slot, Presence presence, std::uint32_t incarnation) {
        segment_->member(slot).standing = Standing::make(presence, static_cast<pid_t>(1000 + slot), incarnation).bits;
    }
    void show(const View& view) {
        const ViewImage image = image_of(view);
        std::memcpy(segment_->view_buffer(0), &image, sizeof image);
        segment_->header().view_current.store(ViewWord::make(view.number, 0).bits);
    }
    void own(std::uint32_t domain, std::uint32_t vnode, std::uint32_t slot) {
        arena_.object<AtomicDirectoryWord>(domains_[domain]->directory_offset + vnode * 8)
            .store(DirectoryWord::make(MemberSlot{slot}, OwnerState::active, 5).bits);
    }
    VNodeRecord& record(std::uint32_t vnode) {
        return arena_.object<VNodeRecord>(domains_[0]->records_offset + vnode * domains_[0]->record_stride);
    }
    void commit(std::uint32_t vnode, std::uint64_t step) {
        CommitSlot& slot = slot_of(record(vnode), *domains_[0], 1);
        slot.number = 1;
        slot.phase = 2;
        slot.step = step;
        slot.serial = static_cast<std::uint32_t>(step + 1);
        record(vnode).select.store(1);
    }
    [[nodiscard]] static char look(ProcessIdentity identity) { return identity.pid == 1000 ? 'X' : 'S'; }
    [[nodiscard]] JobView read() const { return read_job(*segment_, arena_, look); }

    std::unique_ptr<ControlSegment> segment_;
    Arena arena_;
    DomainHeader* domains_[2]{};
};

TEST_F(JobViewTest, MembersAreWhatTheViewAndTheirProcessesSay) {
    const JobView job = read();
    std::vector<MemberState> states;
    for (const MemberView& member : job.members) states.push_back(member.state);
    EXPECT_THAT(states,
                ElementsAre(MemberState::failed, MemberState::active, MemberState::draining, MemberState::joining));
    EXPECT_EQ(job.members[2].seniority, 1U);
    EXPECT_EQ(job.members[1].pid, 1001);
}

TEST_F(JobViewTest, APortIsShownAndCountedAsNoMember) {
    segment_->member(1).role = static_cast<std::uint32_t>(MemberRole::port);
    segment_->header().node_count = 2;
    segment_->header().node_id = 1;
    const JobView job = read();
    EXPECT_TRUE(job.members[1].port);
    EXPECT_FALSE(job.members[1].coordinator);
    EXPECT_EQ(nlohmann::json::parse(status_json(job)).at("members").at("active"), 0);
    EXPECT_THAT(nodes_members_text({job}), HasSubstr("\n1     port"));
    EXPECT_THAT(nodes_members_text({job}), HasSubstr("\n1     1.2"));
    const auto json = nlohmann::json::parse(nodes_members_json({job}));
    EXPECT_EQ(json.at("nodes").at(0).at("node"), 1);
    EXPECT_EQ(json.at("nodes").at(0).at("members").at(1).at("port"), true);
    EXPECT_THAT(nodes_status_text({job}), HasSubstr("1 of its 2 nodes"));
    EXPECT_EQ(nlohmann::json::parse(nodes_status_json({job})).at("nodes").at(0).at("domains").size(), 2U);
}

TEST_F(JobViewTest, OneThatHasLeftIsShownUntilAnotherOneHasItsSlot) {
    View view = *view_of(*reinterpret_cast<const ViewImage*>(segment_->view_buffer(0)));
    show(with_retired(next_of(view), MemberSlot{2}));
    stand(2, Presence::empty, 1);
    EXPECT_EQ(read().members[2].state, MemberState::retired);
    stand(2, Presence::claimed, 2);
    EXPECT_EQ(read().members.size(), 3U);
    stand(2, Presence::present, 2);
    const JobView job = read();
    EXPECT_EQ(job.members[2].state, MemberState::joining) << "the view means its predecessor";
    EXPECT_EQ(job.members[2].incarnation, 2U);
}

TEST_F(JobViewTest, TheCoordinatorIsTheOldestActiveThatLives) {
    const JobView job = read();
    EXPECT_FALSE(job.members[0].coordinator) << "dead";
    EXPECT_FALSE(job.members[2].coordinator) << "older than 1, but draining";
    EXPECT_TRUE(job.members[1].coordinator);
    EXPECT_EQ(nlohmann::json::parse(status_json(job)).at("coordinator"), 1);
    EXPECT_THAT(members_text(job), HasSubstr("\n1*"));
}

TEST_F(JobViewTest, VNodesAreCountedOverAllDomains) {
    own(0, 0, 1);
    own(0, 3, 2);
    own(1, 1, 1);
    const JobView job = read();
    EXPECT_EQ(job.members[1].vnodes, 2U);
    EXPECT_EQ(job.members[1].vnodes_of_spaces, 1U);
    EXPECT_EQ(job.members[2].vnodes, 1U);
    EXPECT_EQ(job.members[3].vnodes, 0U);
}

TEST_F(JobViewTest, WhatAMemberExecutesIsNamed) {
    const JobView job = read();
    ASSERT_TRUE(job.members[1].executing);
    EXPECT_EQ(job.members[1].executing->domain, "plate");
    EXPECT_EQ(job.members[1].executing->vnode, 2U);
    EXPECT_EQ(job.members[1].executing->serial, 17U);
    EXPECT_THAT(members_text(job), HasSubstr("plate 2 serial 17"));
    stand(1, Presence::leaving, 1);
    EXPECT_FALSE(read().members[1].executing) << "one that has left executes nothing";
}

TEST_F(JobViewTest, ADomainTellsItsStepsAndASpaceHasNone) {
    for (std::uint32_t v = 0; v < vnode_count; ++v) commit(v, 10 + v);
    const JobView job = read();
    ASSERT_EQ(job.domains.size(), 2U);
    EXPECT_EQ(job.domains[0].progress.step_min, 10U);
    EXPECT_DOUBLE_EQ(job.domains[0].progress.step_mean, 11.5);
    const auto json = nlohmann::json::parse(status_json(job));
    EXPECT_EQ(json.at("domains").at(0).at("steps_total"), 100);
    EXPECT_EQ(json.at("domains").at(1).at("kind"), "space");
    EXPECT_FALSE(json.at("domains").at(1).contains("step_min"));
    EXPECT_EQ(json.at("members").at("failed"), 1);
    EXPECT_EQ(json.at("members").at("retired"), 0);
    EXPECT_THAT(status_text(job), HasSubstr("1 joining, 1 active, 1 draining, 1 failed"));
}

TEST_F(JobViewTest, VNodesTellOwnerVersionStepAndWait) {
    own(0, 2, 1);
    commit(2, 7);
    record(2).wait_step.store(7);
    record(2).wait.store(static_cast<std::uint64_t>(WaitKind::message) | 9U << 8 | std::uint64_t{3} << 32);
    const auto vnodes = read_vnodes(*segment_, arena_, 0);
    ASSERT_EQ(vnodes.size(), vnode_count);
    EXPECT_EQ(vnodes[0].state, OwnerState::unassigned);
    EXPECT_EQ(vnodes[2].owner, 1U);
    EXPECT_EQ(vnodes[2].version, 5U);
    EXPECT_EQ(vnodes[2].step, 7U);
    EXPECT_EQ(vnodes[2].serial, 8U);
    EXPECT_THAT(vnodes[2].wait, HasSubstr("waits for a message from VNode 3 with tag 9 in step 7"));
    const auto json = nlohmann::json::parse(vnodes_json("j", {{read().domains[0], vnodes}}));
    EXPECT_EQ(json.at("domains").at(0).at("vnodes").at(2).at("owner"), 1);
    EXPECT_TRUE(json.at("domains").at(0).at("vnodes").at(0).at("owner").is_null());
}

TEST_F(JobViewTest, DomainsAreMeantByName) {
    const auto all = read().domains;
    EXPECT_EQ(meant_domains("", all)->size(), 2U);
    EXPECT_EQ(meant_domains("tree", all)->front().index, 1U);
    EXPECT_THAT(meant_domains("x", all).error().sentence, HasSubstr("no domain 'x'; it has 'plate', 'tree'"));
    EXPECT_THAT(meant_domains("", {}).error().sentence, HasSubstr("no domain yet"));
}

TEST_F(JobViewTest, TheModeIsTold) {
    EXPECT_THAT(status_text(read()), HasSubstr("none: a program alone"));
    segment_->header().agent_pid.store(77);
    EXPECT_EQ(nlohmann::json::parse(status_json(read())).at("mode"), "local");
    Settings settings;
    settings.started_by_mpirun = true;
    ASSERT_TRUE(store_settings(settings, *segment_));
    EXPECT_EQ(nlohmann::json::parse(status_json(read())).at("mode"), "mpi");
}

TEST(MemberStateOf, TrustsTheRecordAndTheProcessBeyondTheView) {
    EXPECT_EQ(member_state(MemberState::active, Presence::present, true), MemberState::active);
    EXPECT_EQ(member_state(MemberState::active, Presence::present, false), MemberState::failed);
    EXPECT_EQ(member_state(MemberState::draining, Presence::leaving, false), MemberState::retired);
    EXPECT_EQ(member_state(MemberState::failed, Presence::present, true), MemberState::failed);
    EXPECT_EQ(member_state(MemberState::empty, Presence::present, true), MemberState::joining);
}

TEST(TableText, AlignsNumbersToTheRight) {
    EXPECT_EQ(table_text({{"a", "count", "what"}, {"10", "1", "b"}, {"2", "-", "long word"}}),
              "a   count  what\n10      1  b\n2       -  long word\n");
}

}  // namespace
}  // namespace phoenix::pflight
