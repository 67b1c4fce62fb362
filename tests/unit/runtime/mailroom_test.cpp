#include "runtime/mailroom.hpp"

#include "runtime/vacating.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "unit/memory/test_job.hpp"

namespace phoenix {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint32_t sender_slot = 0;
constexpr std::uint32_t reused_slot = 1;

/// The memory of a node as one of its members has it, and that member's logs.
struct TestMember {
    TestMember(const ControlSegment& segment, int arena, std::uint32_t slot, std::uint32_t incarnation) {
        context.access.segment = std::make_unique<ControlSegment>(*ControlSegment::attach(segment.job_id()));
        context.access.arena = *Arena::map(*context.access.segment, FileDescriptor{dup(arena)});
        context.slot = slot;
        context.incarnation = incarnation;
        pool = std::make_unique<ExtentPool>(context.segment(), context.arena(), slot);
        mail = std::make_unique<Mailroom>(context, *pool);
    }
    /// Sequences of the records that have come.
    [[nodiscard]] std::vector<std::uint64_t> read() const {
        std::vector<std::uint64_t> sequences;
        mail->poll([&](const RecordRef& ref) { sequences.push_back(ref.record->sequence); });
        return sequences;
    }
    void part() const {
        mail->part_from_the_gone(context.current_view(), [](const Record&) { return false; });
    }

    MemberContext context;
    std::unique_ptr<ExtentPool> pool;
    std::unique_ptr<Mailroom> mail;
};

/// Member 0, and in slot 1 one after the other.
class MailroomTest : public ::testing::Test {
  protected:
    void SetUp() override {
        const std::string id = "mailroom-test-" + std::to_string(getpid());
        auto segment = ControlSegment::create(id);
        ASSERT_TRUE(segment) << segment.error().sentence;
        segment_ = std::make_unique<ControlSegment>(std::move(*segment));
        auto file = Arena::create(*segment_, false);
        ASSERT_TRUE(file);
        segment_->publish();
        segment_->header().next_order = 3;
        ours_ = std::make_unique<TestMember>(*segment_, file->get(), sender_slot, 1);
        first_ = std::make_unique<TestMember>(*segment_, file->get(), reused_slot, 1);
        second_ = std::make_unique<TestMember>(*segment_, file->get(), reused_slot, 2);
        third_ = std::make_unique<TestMember>(*segment_, file->get(), 2, 1);
        arena_ = std::move(*file);
        show(with_active(with_active(next_of({}), MemberSlot{sender_slot}, Incarnation{1}), MemberSlot{reused_slot},
                         Incarnation{1}));
        word_ = DirectoryWord::make(MemberSlot{reused_slot}, OwnerState::active, 1).bits;
    }
    void TearDown() override { ControlSegment::remove(segment_->job_id()); }
    [[nodiscard]] TestMember again(std::uint32_t slot, std::uint32_t incarnation) const {
        return TestMember{*segment_, arena_.get(), slot, incarnation};
    }
    void show(const View& view) {
        view_ = view;
        const ViewImage image = image_of(view);
        const auto buffer = static_cast<std::uint32_t>(view.number.value & 1);
        std::memcpy(segment_->view_buffer(buffer), &image, sizeof image);
        segment_->header().view_current = ViewWord::make(view.number, buffer).bits;
    }
    void retire_first() { show(with_retired(next_of(view_), MemberSlot{reused_slot})); }
    void admit_second() { show(with_active(next_of(view_), MemberSlot{reused_slot}, Incarnation{2})); }
    void send(const TestMember& from, std::uint64_t sequence) {
        ASSERT_TRUE(from.mail->send(word_, {5, 6, 7, 0, sequence, 0, 0}, &sequence, sizeof sequence));
    }
    [[nodiscard]] std::uint64_t head(std::uint32_t reader, std::uint32_t writer) const {
        return segment_->log_head(reader, writer).load();
    }
    [[nodiscard]] bool logs_remain() const {
        return find_remains(ours_->context, view_, SweepResult{})[reused_slot].logs;
    }
    /// All that lies in chunks and is not released, whoever wrote it.
    [[nodiscard]] std::vector<std::uint64_t> scanned() const {
        std::vector<std::uint64_t> sequences;
        ours_->pool->for_each([&](ExtentId id, std::uint64_t word, const ExtentOwner& owner) {
            if (owner.kind != ExtentKind::chunk) return;
            scan_chunk(*ours_->pool, id, word,
                       [&](const RecordRef&, const Record& copy) { sequences.push_back(copy.sequence); });
        });
        std::sort(sequences.begin(), sequences.end());
        return sequences;
    }

    std::unique_ptr<ControlSegment> segment_;
    FileDescriptor arena_;
    std::unique_ptr<TestMember> ours_;
    std::unique_ptr<TestMember> first_;
    std::unique_ptr<TestMember> second_;
    std::unique_ptr<TestMember> third_;
    View view_;
    AtomicDirectoryWord word_{0};
};

TEST_F(MailroomTest, ANewcomerReadsWhatIsSentToItAndNothingThatWasSentToItsPredecessor) {
    send(*ours_, 1);
    EXPECT_THAT(first_->read(), ElementsAre(1));
    send(*ours_, 2);  // never read
    retire_first();
    EXPECT_THAT(second_->read(), IsEmpty()) << "that log may be used otherwise any time";
    ours_->part();
    EXPECT_EQ(head(reused_slot, sender_slot), 0U);
    admit_second();
    send(*ours_, 3);
    EXPECT_THAT(second_->read(), ElementsAre(3));
    EXPECT_THAT(scanned(), ElementsAre(1, 2, 3)) << "what is not consumed stays for whoever gets the VNode";
}

TEST_F(MailroomTest, WhoDidNotNoticeThatTheReaderChangedMakesANewLogForTheNewOne) {
    send(*ours_, 1);
    retire_first();
    admit_second();
    ours_->part();
    send(*ours_, 2);
    EXPECT_THAT(second_->read(), ElementsAre(2));
}

TEST_F(MailroomTest, ToAnOwnerThatIsNoMemberARecordWaitsInTheSendersOwnLog) {
    retire_first();
    send(*ours_, 1);
    EXPECT_EQ(head(reused_slot, sender_slot), 0U) << "nobody begins a log towards such a slot";
    EXPECT_THAT(ours_->read(), ElementsAre(1));
    EXPECT_THAT(scanned(), ElementsAre(1));
}

TEST_F(MailroomTest, WhatTheGoneHeldGoesAsItIsConsumed) {
    for (std::uint64_t sequence = 0; sequence < 3000; ++sequence) send(*ours_, sequence);
    const std::uint64_t held = ours_->pool->held_bytes();
    EXPECT_GT(held, std::uint64_t{2} * chunk_size);
    retire_first();
    ours_->mail->part_from_the_gone(view_, [](const Record& record) { return record.sequence >= 2000; });
    EXPECT_LT(ours_->pool->held_bytes(), held);
    EXPECT_GT(ours_->pool->held_bytes(), std::uint64_t{chunk_size});
    ours_->mail->sweep([](const Record&) { return true; });
    EXPECT_EQ(ours_->pool->held_bytes(), 0U) << "the last chunk too";
}

TEST_F(MailroomTest, TheSlotIsInUseUntilAllAreThroughWithItsLogs) {
    send(*ours_, 1);
    word_ = DirectoryWord::make(MemberSlot{sender_slot}, OwnerState::active, 2).bits;
    send(*first_, 7);
    send(*first_, 8);
    retire_first();
    EXPECT_TRUE(logs_remain());
    ours_->part();
    EXPECT_TRUE(logs_remain()) << "it has not seen that log yet";
    EXPECT_EQ(head(reused_slot, sender_slot), 0U);
    EXPECT_THAT(ours_->read(), ElementsAre(7, 8));
    ours_->part();
    EXPECT_FALSE(logs_remain());
    EXPECT_EQ(head(sender_slot, reused_slot), 0U);
    admit_second();
    send(*second_, 9);
    EXPECT_THAT(ours_->read(), ElementsAre(9)) << "its log is looked for anew";
}

TEST_F(MailroomTest, UnreadRecordsOfTheRetiredAreReadBeforeItsLogIsLeft) {
    word_ = DirectoryWord::make(MemberSlot{sender_slot}, OwnerState::active, 2).bits;
    send(*first_, 7);
    EXPECT_THAT(ours_->read(), ElementsAre(7));
    send(*first_, 8);
    retire_first();
    ours_->part();
    EXPECT_TRUE(logs_remain());
    EXPECT_THAT(ours_->read(), ElementsAre(8));
    ours_->part();
    EXPECT_FALSE(logs_remain());
}

TEST_F(MailroomTest, LogsBetweenTwoOfTheGoneAreNobodysBusiness) {
    show(with_active(next_of(view_), MemberSlot{2}, Incarnation{1}));
    send(*third_, 1);
    EXPECT_NE(head(reused_slot, 2), 0U);
    show(with_failed(with_retired(next_of(view_), MemberSlot{reused_slot}), MemberSlot{2}));
    EXPECT_FALSE(logs_remain());
    EXPECT_EQ(head(reused_slot, 2), 0U);
}

/// Lets one of two that race come a little later than the other, by another time in each round.
void come_late(int round, int period) {
    for (std::atomic<int> count{round % period * 20}; count > 0; --count) continue;
}

/// What two processes tell each other in a race.
enum class Race : std::uint32_t { ready, go, in_the_way, parted, admitted };

TEST_F(MailroomTest, ALogMadeWhileItsReaderRetiresIsNotTakenForOneToItsSuccessor) {
    constexpr int rounds = 1000;
    void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    auto& race = *new (page) std::atomic<Race>{Race::ready};
    // In a process of its own: retires the first, gives its slot to the second as soon as no log is in the way.
    testing_tools::ChildProcess successor{[&] {
        for (int round = 0; round < rounds; ++round) {
            while (race != Race::go) continue;
            come_late(round, 7);
            view_ = read_view(*segment_);
            const Incarnation next{view_.at(MemberSlot{reused_slot}).incarnation.value + 1};
            retire_first();
            if (logs_remain()) {
                race = Race::in_the_way;
                while (race != Race::parted) sched_yield();
            }
            show(with_active(next_of(view_), MemberSlot{reused_slot}, next));
            race = Race::admitted;
        }
        return 0;
    }};
    int raced = 0;
    for (int round = 0; round < rounds; ++round) {
        const auto first = static_cast<std::uint32_t>(2 * round + 1);
        view_ = read_view(*segment_);
        if (round > 0) {
            retire_first();
            show(with_active(next_of(view_), MemberSlot{reused_slot}, Incarnation{first}));
        }
        const TestMember sender = again(sender_slot, 1);
        const TestMember newcomer = again(reused_slot, first + 1);
        race = Race::go;
        come_late(round, 11);
        send(sender, 1);
        while (race == Race::go) sched_yield();
        if (race == Race::in_the_way) {
            sender.part();
            race = Race::parted;
        } else {
            ++raced;
        }
        while (race != Race::admitted) sched_yield();
        send(sender, 2);
        ASSERT_THAT(newcomer.read(), testing::Contains(2U)) << "round " << round;
        sender.part();
        segment_->log_head(reused_slot, sender_slot) = 0;
        segment_->log_head(sender_slot, sender_slot) = 0;
    }
    EXPECT_EQ(successor.ended(), 0);
    std::printf("%d of %d times nothing was in the way\n", raced, rounds);
    munmap(page, 4096);
}

}  // namespace
}  // namespace phoenix
