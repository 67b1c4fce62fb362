#include "runtime/sweep.hpp"

#include "messaging/channel.hpp"
#include "messaging/log.hpp"

#include <phoenix/domain.hpp>

#include <gtest/gtest.h>
#include <map>
#include <string>
#include <unistd.h>
#include <vector>

namespace phoenix {
namespace {

constexpr std::uint32_t living = 0;
constexpr std::uint32_t dead = 1;

/// A node with one domain of two VNodes; member 1 has died.
class SweepTest : public ::testing::Test {
  protected:
    void SetUp() override {
        const std::string id = "sweep-test-" + std::to_string(getpid());
        auto segment = ControlSegment::create(id);
        ASSERT_TRUE(segment) << segment.error().sentence;
        ControlSegment::remove(id);  // the mapping stays
        context_.access.segment = std::make_unique<ControlSegment>(std::move(*segment));
        auto file = Arena::create(*context_.access.segment, false);
        ASSERT_TRUE(file);
        auto arena = Arena::map(*context_.access.segment, std::move(*file));
        ASSERT_TRUE(arena) << arena.error().sentence;
        context_.access.arena = std::move(*arena);
        const std::uint64_t offset = *context_.arena().reserve(sizeof(DomainHeader));
        domain_ = &context_.arena().object<DomainHeader>(offset);
        domain_->vnodes = 2;
        domain_->recovery = static_cast<std::uint32_t>(Recovery::local);
        domain_->slot_size = sizeof(CommitSlot);
        domain_->record_stride = sizeof(VNodeRecord) + 2 * sizeof(CommitSlot);
        domain_->records_offset = *context_.arena().reserve(2 * std::uint64_t{domain_->record_stride});
        context_.header().domains[0].store(offset);
        view_ = with_failed(
            with_active(with_active(next_of({}), MemberSlot{living}, Incarnation{1}), MemberSlot{dead}, Incarnation{1}),
            MemberSlot{dead});
        ours_ = std::make_unique<ExtentPool>(context_.segment(), context_.arena(), living);
        theirs_ = std::make_unique<ExtentPool>(context_.segment(), context_.arena(), dead);
        log_ = std::make_unique<LogWriter>(*theirs_, context_.arena(), context_.segment().log_head(living, dead),
                                           LogEnds{dead, living, 1});
    }

    void send(std::uint64_t sequence, std::size_t bytes) {
        const std::vector<std::byte> payload(bytes);
        ASSERT_TRUE(log_->append({0, 1, 7, 0, sequence, 0, 0}, payload.data(), payload.size()));
    }
    /// VNode 1 commits that it has consumed all below `low` from VNode 0.
    void commit(std::uint64_t low) {
        ChannelTable table;
        table.at(0).consumed.low = low;
        VNodeRecord& record = context_.vnode_record(*domain_, 1);
        const std::uint64_t number = record.select.load() + 1;
        CommitSlot& slot = slot_of(record, *domain_, number);
        slot.channel_extent = *ours_->allocate(channels_size(table), ExtentKind::state, 0, 1);
        slot.channel_count = 1;
        write_channels(table, ours_->data(slot.channel_extent));
        slot.number = number;
        record.select.store(number);
    }
    /// Extents that the dead member holds, by kind.
    std::map<ExtentKind, int> held() const {
        std::map<ExtentKind, int> count;
        ours_->for_each([&](ExtentId, std::uint64_t, const ExtentOwner& owner) {
            count[owner.kind] += owner.slot == dead ? 1 : 0;
        });
        return count;
    }
    bool sweep() { return sweep_after_the_dead(context_, *ours_, view_).left; }
    /// Extents of this kind that are nobody's: something reaches them, and the slot may be used again.
    int disowned(ExtentKind kind) const {
        int count = 0;
        ours_->for_each([&](ExtentId, std::uint64_t, const ExtentOwner& owner) {
            count += owner.kind == kind && owner.slot == nobodys_slot ? 1 : 0;
        });
        return count;
    }

    MemberContext context_;
    DomainHeader* domain_{nullptr};
    View view_;
    std::unique_ptr<ExtentPool> ours_;
    std::unique_ptr<ExtentPool> theirs_;
    std::unique_ptr<LogWriter> log_;
};

TEST_F(SweepTest, RecordsOfTheDeadStayUntilTheirReceiverHasCommitted) {
    send(0, 8);
    send(1, 100'000);  // its payload has an extent of its own
    context_.segment().log_head(living, dead).store(0);
    EXPECT_TRUE(sweep()) << "nothing is committed yet";
    EXPECT_EQ(disowned(ExtentKind::chunk), 1);
    EXPECT_EQ(disowned(ExtentKind::payload), 1);
    EXPECT_EQ(held()[ExtentKind::chunk] + held()[ExtentKind::payload], 0) << "nothing names the slot any more";
    commit(1);
    commit(1);
    EXPECT_TRUE(sweep()) << "the second record is not consumed";
    EXPECT_EQ(disowned(ExtentKind::payload), 1);
    commit(2);
    EXPECT_TRUE(sweep()) << "whoever committed that is about to release the record itself";
    commit(2);
    EXPECT_FALSE(sweep());
    EXPECT_EQ(disowned(ExtentKind::chunk), 0);
    EXPECT_EQ(disowned(ExtentKind::payload), 0);
}

TEST_F(SweepTest, AChunkStaysWhileItsReaderMayStillRead) {
    send(0, 8);
    commit(1);
    commit(1);
    EXPECT_TRUE(sweep()) << "the reader has not said that it is through";
    EXPECT_EQ(held()[ExtentKind::chunk], 1);
    context_.segment().log_head(living, dead).store(0);
    EXPECT_FALSE(sweep());
    EXPECT_EQ(held()[ExtentKind::chunk], 0);
}

TEST_F(SweepTest, ChunksOfALogThatIsBeingReadKeepTheirSlot) {
    send(0, 8);
    EXPECT_TRUE(sweep_after_the_dead(context_, *ours_, view_).in_logs[dead]);
    EXPECT_EQ(disowned(ExtentKind::chunk), 0);
    context_.segment().log_head(living, dead).store(0);
    EXPECT_FALSE(sweep_after_the_dead(context_, *ours_, view_).in_logs[dead]);
}

TEST_F(SweepTest, AScanGoesOnWhenTheChunkBecomesNobodys) {
    send(0, 8);
    send(1, 8);
    context_.segment().log_head(living, dead).store(0);
    std::vector<std::uint64_t> found;
    ours_->for_each([&](ExtentId id, std::uint64_t word, const ExtentOwner& owner) {
        if (owner.kind != ExtentKind::chunk) return;
        scan_chunk(*ours_, id, word, [&](const RecordRef&, const Record& copy) {
            found.push_back(copy.sequence);
            EXPECT_TRUE(sweep());
        });
    });
    EXPECT_EQ(found, (std::vector<std::uint64_t>{0, 1}));
    EXPECT_EQ(disowned(ExtentKind::chunk), 1);
}

TEST_F(SweepTest, PayloadsGoOneByOneWhileTheirChunkStays) {
    send(0, 100'000);
    send(1, 100'000);
    context_.segment().log_head(living, dead).store(0);
    commit(1);
    commit(1);
    EXPECT_TRUE(sweep());
    EXPECT_EQ(disowned(ExtentKind::chunk), 1);
    EXPECT_EQ(disowned(ExtentKind::payload), 1) << "that of the second record";
}

TEST_F(SweepTest, APayloadThatWasNeverSentGoes) {
    ASSERT_TRUE(theirs_->allocate(50'000, ExtentKind::payload));
    EXPECT_FALSE(sweep());
    EXPECT_EQ(held()[ExtentKind::payload], 0);
}

TEST_F(SweepTest, StateStaysIfEitherSlotOfTheCommitReachesIt) {
    const ExtentId in_force = *theirs_->allocate(300, ExtentKind::state, 0, 1);
    const ExtentId being_written = *theirs_->allocate(300, ExtentKind::state, 0, 1);
    const ExtentId lost = *theirs_->allocate(300, ExtentKind::state, 0, 1);
    VNodeRecord& record = context_.vnode_record(*domain_, 1);
    slot_of(record, *domain_, 0).channel_extent = in_force;
    slot_of(record, *domain_, 1).print_extent = being_written;
    EXPECT_FALSE(sweep());
    EXPECT_EQ(disowned(ExtentKind::state), 2);
    EXPECT_EQ(ExtentOwner::unpack(ours_->owner_word(lost)).kind, ExtentKind::free);
}

TEST_F(SweepTest, ExtentsOfTheLivingAreLeftAlone) {
    const ExtentId mine = *ours_->allocate(300, ExtentKind::state, 0, 1);
    EXPECT_FALSE(sweep());
    EXPECT_EQ(ExtentOwner::unpack(ours_->owner_word(mine)).kind, ExtentKind::state);
}

TEST_F(SweepTest, NothingIsConsumedByACommitOfGlobalRecovery) {
    send(0, 8);
    commit(1);
    commit(1);
    domain_->recovery = static_cast<std::uint32_t>(Recovery::global);
    context_.segment().log_head(living, dead).store(0);
    EXPECT_TRUE(sweep()) << "the cut may still be given up";
    EXPECT_EQ(disowned(ExtentKind::chunk), 1) << "the slot need not wait for it";
}

}  // namespace
}  // namespace phoenix
