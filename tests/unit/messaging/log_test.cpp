#include "messaging/log.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <stdexcept>
#include <unistd.h>
#include <vector>

namespace phoenix {
namespace {

/// A job's memory in this process alone, with a log from member 0 to member 1.
class Log : public testing::Test {
  protected:
    void SetUp() override {
        auto created = ControlSegment::create(fmt::format("log-test-{}", getpid()));
        ASSERT_TRUE(created) << created.error().sentence;
        segment_ = std::move(*created);
        auto file = Arena::create(segment_, false);
        ASSERT_TRUE(file) << file.error().sentence;
        auto mapped = Arena::map(segment_, std::move(*file));
        ASSERT_TRUE(mapped) << mapped.error().sentence;
        arena_ = std::move(*mapped);
        pool_ = std::make_unique<ExtentPool>(segment_, arena_, 0);
        writer_ = std::make_unique<LogWriter>(*pool_, arena_, segment_.log_head(1, 0), LogEnds{0, 1, 1});
    }
    void TearDown() override { ControlSegment::remove(segment_.job_id()); }

    RecordRef append(const std::vector<std::uint64_t>& words) {
        const RecordHead head{0, 1, 5, 0, next_sequence_++, 0, 0};
        const auto place = writer_->append(head, words.data(), words.size() * 8);
        if (!place) throw std::runtime_error{place.error().sentence};
        return *place;
    }
    /// Reads whatever is there; the reader begins with the log's first chunk.
    std::vector<RecordRef> read_all() {
        if (!reader_) reader_ = std::make_unique<LogReader>(arena_, LogHead{segment_.log_head(1, 0).load()}, 0);
        std::vector<RecordRef> found;
        reader_->poll([&](const RecordRef& ref) { found.push_back(ref); });
        return found;
    }
    [[nodiscard]] std::uint64_t first_word(const RecordRef& ref) const {
        std::uint64_t word = 0;
        std::memcpy(&word, payload_of(*ref.record, *pool_), sizeof word);
        return word;
    }

    ControlSegment segment_;
    Arena arena_;
    std::unique_ptr<ExtentPool> pool_;
    std::unique_ptr<LogWriter> writer_;
    std::unique_ptr<LogReader> reader_;
    std::uint64_t next_sequence_{0};
};

TEST_F(Log, RecordsOfEverySizeArriveInOrderOverManyChunks) {
    const std::vector<std::size_t> sizes{0, 1, 3, 4, 8, 100, 2048, 2049, 5000};
    for (std::size_t i = 0; i < 2000; ++i) append(std::vector<std::uint64_t>(sizes[i % sizes.size()], i));
    const auto found = read_all();
    ASSERT_EQ(found.size(), 2000U);
    for (std::size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].record->sequence, i);
        EXPECT_EQ(found[i].record->payload_size(), sizes[i % sizes.size()] * 8);
        if (sizes[i % sizes.size()] > 0) {
            EXPECT_EQ(first_word(found[i]), i);
        }
    }
}

TEST_F(Log, ARecordIsTakenPastPollOnlyIfItIsNextAndWanted) {
    for (std::uint64_t i = 0; i < 3000; ++i) append({i});
    reader_ = std::make_unique<LogReader>(arena_, LogHead{segment_.log_head(1, 0).load()}, 0);
    const auto never = [](const Record&) { return false; };
    const auto second = [](const Record& record) { return record.sequence == 1; };
    EXPECT_EQ(reader_->take_if(never).record, nullptr);
    EXPECT_EQ(reader_->take_if(second).record, nullptr) << "one comes before it";
    std::uint64_t next = 0;
    while (next < 3000) {
        const RecordRef ref = reader_->take_if([&](const Record& record) { return record.sequence == next; });
        if (ref.record != nullptr) {
            ASSERT_EQ(first_word(ref), next++);
        } else {  // a link to the next chunk: only poll() follows it, and reads what is there
            for (const RecordRef& polled : read_all()) ASSERT_EQ(first_word(polled), next++);
        }
    }
    EXPECT_EQ(reader_->take_if([](const Record&) { return true; }).record, nullptr) << "nothing is left";
    append({3000});
    EXPECT_EQ(first_word(reader_->take_if([](const Record&) { return true; })), 3000U);
    EXPECT_TRUE(read_all().empty());
}

TEST_F(Log, ReleasedChunksAreUsedAgainWithoutASweep) {
    for (std::uint64_t round = 0; round < 200; ++round) {
        for (std::uint64_t i = 0; i < 100; ++i) append(std::vector<std::uint64_t>(128, i));
        for (const RecordRef& ref : read_all()) ref.release();
    }
    // 20 MiB have passed; what a few rounds need is kept.
    EXPECT_LT(pool_->held_bytes(), 2U << 20);
}

TEST_F(Log, ReleasedPayloadsAreUsedAgainLongBeforeTheirChunk) {
    for (std::uint64_t round = 0; round < 200; ++round) {
        append(std::vector<std::uint64_t>(131072, round));  // 1 MiB, in an extent
        for (const RecordRef& ref : read_all()) ref.release();
    }
    EXPECT_LT(pool_->held_bytes(), 8U << 20);
}

TEST_F(Log, OneRecordThatStaysKeepsItsOwnChunkOnly) {
    append({42});
    const std::vector<RecordRef> first = read_all();
    ASSERT_EQ(first.size(), 1U);
    for (std::uint64_t i = 0; i < 100'000; ++i) {
        append({i});
        for (const RecordRef& ref : read_all()) ref.release();
    }
    EXPECT_EQ(first_word(first.front()), 42U);
    EXPECT_LT(pool_->held_bytes(), 1U << 20);
    std::uint64_t retained = 0;
    writer_->for_each_retained([&](const RecordRef& ref) {
        ++retained;
        EXPECT_EQ(ref.record, first.front().record);
    });
    EXPECT_EQ(retained, 1U);
}

TEST_F(Log, OldBytesInAChunkThatIsUsedAgainAreNoRecords) {
    // Payloads that hold, at the start of each line, what would be the stamp of that line in one of the next three
    // uses.
    RecordRef last = append({0});
    for (int round = 0; round < 30; ++round) {
        const ChunkHeader* const before = last.chunk;
        while (last.chunk == before) {
            std::uint32_t line = last.line() + last.record->lines() + 1;
            std::uint64_t use = last.chunk->use;
            if (line + 256 >= chunk_lines) line = chunk_first_line + 1, ++use;
            std::vector<std::uint64_t> forged(2048);
            for (std::size_t i = 0; i < forged.size(); i += 8, ++line) forged[i] = stamp_of(use + 1 + line % 3, line);
            last = append(forged);
        }
        for (const RecordRef& ref : read_all()) ref.release();
        for (int i = 0; i < 700; ++i) {
            last = append({7});
            const auto found = read_all();
            ASSERT_EQ(found.size(), 1U) << "round " << round << ", record " << i;
            ASSERT_EQ(found.front().record, last.record);
            found.front().release();
        }
    }
}

TEST_F(Log, ManyRecordsAreReleasedAtOnceAndNoOthers) {
    for (std::uint64_t i = 0; i < 3000; ++i) append(std::vector<std::uint64_t>(i % 7, i));
    std::vector<RecordRef> released;
    std::set<std::uint64_t> kept;
    for (const RecordRef& ref : read_all()) {
        if (ref.record->sequence % 97 == 5)
            kept.insert(ref.record->sequence);
        else
            released.push_back(ref);
    }
    std::swap(released[10], released[2000]);  // consumed in another order than sent
    release_all(released);
    std::set<std::uint64_t> retained;
    writer_->for_each_retained([&](const RecordRef& ref) { retained.insert(ref.record->sequence); });
    EXPECT_EQ(retained, kept);
}

TEST_F(Log, AScanFindsWhatIsNotReleasedAndOnlyThat) {
    for (std::uint64_t i = 0; i < 3000; ++i) append({i});
    const auto found = read_all();
    std::set<std::uint64_t> kept;
    for (std::size_t i = 0; i < found.size(); ++i) {
        if (i % 500 == 3)
            kept.insert(i);
        else
            found[i].release();
    }
    append({3000});
    kept.insert(3000);
    std::set<std::uint64_t> scanned;
    pool_->for_each([&](ExtentId id, std::uint64_t word, const ExtentOwner& owner) {
        if (owner.kind != ExtentKind::chunk) return;
        scan_chunk(*pool_, id, word, [&](const RecordRef& ref, const Record& copy) {
            if (!ref.released()) scanned.insert(copy.sequence);
        });
    });
    EXPECT_EQ(scanned, kept);
}

}  // namespace
}  // namespace phoenix
