/// Chunks: what a record needs of them, when they are used again and what of their old bytes can be seen.

#include <algorithm>
#include <random>

#include "unit/messaging/log_fixture.hpp"

namespace phoenix {
namespace {

using testing_tools::append_to;
using testing_tools::head_for;
using testing_tools::is_whole;
using testing_tools::scan_all;

class LogChain : public testing_tools::LogFixture {};

TEST_F(LogChain, PayloadsOfEverySizeArriveByteForByte) {
    std::vector<std::size_t> sizes{0, 1, 23, 24, 25, 63, 64, 65, 128, 16383, 16384, 16385, 70'000, 1U << 20};
    std::mt19937 random{3};
    for (int i = 0; i < 3000; ++i) sizes.push_back(random() % (i % 10 == 0 ? 16'400 : 200));
    for (const std::size_t size : sizes) append(size);
    const std::vector<RecordRef> found = read_all();
    ASSERT_EQ(found.size(), sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        ASSERT_TRUE(is_whole(*found[i].record, pool_, i, sizes[i])) << "record " << i << " of " << sizes[i] << " bytes";
        const RecordKind kind = found[i].record->kind();
        ASSERT_EQ(kind == RecordKind::inline_payload, sizes[i] <= inline_payload_max);
        ASSERT_EQ(kind == RecordKind::extent_payload, sizes[i] > chunk_payload_max);
    }
    EXPECT_TRUE(read_all().empty());
}

TEST_F(LogChain, AnExtentHandedOverArrives) {
    const ExtentId extent = testing_tools::value_or_throw(pool_.allocate(100, ExtentKind::payload));
    const std::vector<std::byte> payload = testing_tools::payload_for(0, 100);
    std::memcpy(pool_.data(extent), payload.data(), payload.size());
    ASSERT_TRUE(writer_.append_extent(head_for(0), extent, 100));
    const std::vector<RecordRef> found = read_all();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_TRUE(is_whole(*found[0].record, pool_, 0, 100));
    EXPECT_EQ(found[0].record->large.extent, extent);
    found[0].release();
    writer_.reclaim();
    EXPECT_EQ(ExtentOwner::unpack(pool_.owner_word(extent)).kind, ExtentKind::cached);
}

TEST_F(LogChain, TheReaderIsToldOfANewLogOnce) {
    EXPECT_FALSE(writer_.take_new());
    EXPECT_EQ(job_.segment.log_head(1, 0), 0U);
    const RecordRef first = append(8);
    EXPECT_TRUE(writer_.take_new());
    EXPECT_FALSE(writer_.take_new());
    EXPECT_EQ(LogHead{job_.segment.log_head(1, 0)}.offset(), job_.arena.offset_of(first.chunk));
    append_many(2000, 8);
    EXPECT_FALSE(writer_.take_new());
    EXPECT_EQ(LogHead{job_.segment.log_head(1, 0)}.offset(), job_.arena.offset_of(first.chunk))
        << "the reader begins at the first chunk";
}

TEST_F(LogChain, ReadyMeansThatPollFindsSomething) {
    const RecordRef first = append(8);
    reader_ = std::make_unique<LogReader>(job_.arena, LogHead{job_.segment.log_head(1, 0).load()}, 0);
    EXPECT_TRUE(reader_->ready());
    EXPECT_EQ(read_all().size(), 1U);
    EXPECT_FALSE(reader_->ready());
    while (append(8).chunk == first.chunk) {
    }
    read_all();
    EXPECT_FALSE(reader_->ready());
    append(8);
    EXPECT_TRUE(reader_->ready());
}

TEST_F(LogChain, AReaderThatLagsFindsEveryChunkThoughAllRecordsAreReleased) {
    // Released by others, as after a death, while the reader has yet to pass.
    std::vector<std::size_t> sizes;
    for (std::size_t i = 0; i < 20'000; ++i) {
        sizes.push_back(i % 50 == 0 ? 3000 : 8);
        append(sizes.back()).release();
        if (i % 1000 == 0) writer_.reclaim();
    }
    const std::vector<RecordRef> found = read_all();
    ASSERT_EQ(found.size(), sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) ASSERT_TRUE(is_whole(*found[i].record, pool_, i, sizes[i])) << i;
    writer_.reclaim();
    EXPECT_EQ(pool_.held_bytes(), chunk_size) << "now all but the current chunk can go";
}

TEST_F(LogChain, AReaderInTheMiddleKeepsItsChunkAndThoseAfterIt) {
    const RecordRef first = append(8);
    while (append(8).chunk == first.chunk) {
    }
    ASSERT_EQ(read_all().size(), next_sequence_);  // it stands in the second chunk now
    for (const RecordRef& place : append_many(3000, 8)) place.release();
    scan_all(pool_, [](const RecordRef& ref, const Record&) { ref.release(); });
    writer_.reclaim();
    const ExtentOwner owner = ExtentOwner::unpack(pool_.owner_word(first.chunk->extent));
    EXPECT_EQ(owner.kind, ExtentKind::cached) << "the first chunk is behind it";
    const std::vector<RecordRef> found = read_all();
    ASSERT_EQ(found.size(), 3000U);
    EXPECT_EQ(found.back().record->sequence, next_sequence_ - 1);
}

TEST_F(LogChain, ASlowVNodePinsTheChunksOfItsRecordsOnly) {
    std::set<const ChunkHeader*> pinned;
    std::vector<std::uint64_t> kept;
    for (int i = 0; i < 30'000; ++i) {
        append(8);
        for (const RecordRef& ref : read_all()) {
            if (i == 4000 || i == 4001 || i == 17'000) {
                pinned.insert(ref.chunk);
                kept.push_back(ref.record->sequence);
            } else {
                ref.release();
            }
        }
    }
    ASSERT_EQ(pinned.size(), 2U);
    writer_.reclaim();
    EXPECT_EQ(pool_.held_bytes(), 3 * chunk_size) << "two pinned, one being written";
    EXPECT_EQ(retained(), kept) << "oldest first";
    writer_.for_each_retained([&](const RecordRef& ref) {
        EXPECT_TRUE(is_whole(*ref.record, pool_, ref.record->sequence, 8));
        ref.release();
    });
    EXPECT_TRUE(retained().empty());
    writer_.reclaim();
    EXPECT_EQ(pool_.held_bytes(), chunk_size);
}

TEST_F(LogChain, OfALogWhoseReaderIsGoneAllGoesAsItIsReleased) {
    const std::vector<RecordRef> places = append_many(5000, 8);
    const std::uint64_t all = pool_.held_bytes();
    for (std::size_t i = 0; i < places.size(); ++i)
        if (i != 2500) places[i].release();
    writer_.reclaim();
    EXPECT_EQ(pool_.held_bytes(), all) << "a living reader has yet to follow the links";
    writer_.close();
    EXPECT_EQ(job_.segment.log_head(1, 0), 0U);
    EXPECT_FALSE(writer_.reclaim_closed());
    EXPECT_EQ(pool_.held_bytes(), chunk_size) << "the record that is not released";
    EXPECT_EQ(retained(), std::vector<std::uint64_t>{2500});
    EXPECT_TRUE(is_whole(*places[2500].record, pool_, 2500, 8));
    places[2500].release();
    EXPECT_TRUE(writer_.reclaim_closed());
    EXPECT_EQ(pool_.held_bytes(), 0U);
}

TEST_F(LogChain, ALastUnreleasedRecordIsNotTakenForALink) {
    const RecordRef first = append(8);
    std::vector<RecordRef> places{first};
    while (places.back().chunk == first.chunk) places.push_back(append(8));
    read_all();  // releases the link
    for (const RecordRef& place : places)
        if (place.record != places[3].record) place.release();
    writer_.close();
    EXPECT_FALSE(writer_.reclaim_closed());
    EXPECT_EQ(retained(), std::vector<std::uint64_t>{3});
}

TEST_F(LogChain, PayloadsStayWithTheirRecords) {
    const std::vector<RecordRef> places = append_many(20, 40'000);
    for (std::size_t i = 0; i < places.size(); ++i)
        if (i % 3 != 0) places[i].release();
    writer_.reclaim();
    const std::vector<RecordRef> more = append_many(20, 40'000);  // into the extents given back
    for (std::size_t i = 0; i < places.size(); i += 3) EXPECT_TRUE(is_whole(*places[i].record, pool_, i, 40'000)) << i;
    for (std::size_t i = 0; i < more.size(); ++i) EXPECT_TRUE(is_whole(*more[i].record, pool_, 20 + i, 40'000)) << i;
}

TEST_F(LogChain, ReleasingIsIdempotentAndTouchesNoOther) {
    const std::vector<RecordRef> places = append_many(300, 8);
    for (const std::size_t i : {std::size_t{0}, std::size_t{60}, std::size_t{61}, std::size_t{299}}) {
        places[i].release();
        places[i].release();
    }
    for (std::size_t i = 0; i < places.size(); ++i)
        EXPECT_EQ(places[i].released(), i == 0 || i == 60 || i == 61 || i == 299) << i;
    EXPECT_EQ(retained().size(), 296U);
    EXPECT_EQ(scanned().size(), 296U);
}

TEST_F(LogChain, WhatIsWrittenButNotStampedIsInvisible) {
    // A chunk in its second use, so that old records lie where the writer goes on.
    const RecordRef first = append(8);
    for (const RecordRef& ref : read_all()) ref.release();
    while (append(8).chunk != first.chunk || next_sequence_ < 100) {
        for (const RecordRef& ref : read_all()) ref.release();
        writer_.reclaim();
    }
    for (const RecordRef& ref : read_all()) ref.release();
    const RecordRef last = append(100);
    ASSERT_EQ(read_all().size(), 1U);
    const std::set<std::uint64_t> before = scanned();
    // All that publish() writes but for the stamp: here the writer died.
    Record& next = last.record[last.record->lines()];
    next.tag_kind = static_cast<std::uint32_t>(RecordKind::inline_payload);
    next.sequence = next_sequence_;
    next.length = 8;
    EXPECT_FALSE(reader_->ready());
    EXPECT_TRUE(read_all().empty());
    EXPECT_EQ(scanned(), before);
    next.tag_kind = static_cast<std::uint32_t>(RecordKind::link);
    next.next_chunk = job_.arena.offset_of(last.chunk);
    EXPECT_TRUE(read_all().empty());
    EXPECT_EQ(scanned(), before);
}

TEST_F(LogChain, AScanEndsWhenItsChunkIsUsedAgain) {
    const RecordRef first = append(8);
    while (append(8).chunk == first.chunk) {
    }
    const ExtentId id = first.chunk->extent;
    std::vector<std::uint64_t> visited;
    scan_chunk(pool_, id, pool_.owner_word(id), [&](const RecordRef& ref, const Record& copy) {
        visited.push_back(copy.sequence);
        if (copy.sequence != 5) return;
        // All of the log is consumed now, and the writer goes on in this chunk.
        for (const RecordRef& found : read_all()) found.release();
        const std::uint64_t use = ref.chunk->use;
        while (ref.chunk->use == use || append(8).chunk != ref.chunk) append(8);
        append_many(100, 8);
    });
    EXPECT_EQ(visited, (std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5}));
}

TEST_F(LogChain, AChunkFullOfForgedRecordsShowsOnlyWhatIsAppended) {
    RecordRef last = append(0);
    ASSERT_EQ(read_all().size(), 1U);
    for (int round = 0; round < 8; ++round) {
        // The writer's next chunk: each line looks like a record of that use, or of the one after it.
        const ExtentId extent = testing_tools::value_or_throw(pool_.allocate(chunk_size, ExtentKind::cached));
        auto* lines = reinterpret_cast<Record*>(pool_.data(extent));
        for (std::uint32_t line = 0; line < chunk_lines; ++line) {
            std::memset(reinterpret_cast<std::byte*>(lines + line), 0, sizeof(Record));
            lines[line].stamp = stamp_of(last.chunk->use + (round % 2 == 0 ? 1 : 1 + line % 2), line);
            lines[line].sequence = 1'000'000 + line;
        }
        pool_.free(extent);
        const ChunkHeader* const before = last.chunk;
        while (last.chunk == before || last.line() < chunk_lines - 300) {
            const std::size_t size = next_sequence_ % 7 == 0 ? 700 : 8;
            last = append(size);
            const std::vector<RecordRef> found = read_all();
            ASSERT_EQ(found.size(), 1U) << "round " << round << ", line " << last.line();
            ASSERT_TRUE(is_whole(*found[0].record, pool_, next_sequence_ - 1, size));
            if (next_sequence_ % 50 == 0) {
                ASSERT_LT(*scanned().rbegin(), next_sequence_);
            }
        }
        ASSERT_EQ(last.chunk->extent, extent) << "the forged chunk is not the one that was used";
    }
    EXPECT_EQ(scanned().size(), next_sequence_);
}

TEST(LogWithoutMemory, SaysSoLosesNothingAndGoesOnLater) {
    const testing_tools::TestJob job{8U << 20};
    ExtentPool pool{job.segment, job.arena, 0};
    LogWriter log{pool, job.arena, job.segment.log_head(1, 0), {0, 1, 1}};
    pool.free(testing_tools::value_or_throw(pool.allocate(100'000, ExtentKind::payload)));  // room for payloads only
    const std::vector<std::byte> payload = testing_tools::payload_for(0, 100'000);
    std::size_t count = 0;
    auto place = log.append(head_for(count), payload.data(), 8);
    for (; place; place = log.append(head_for(++count), payload.data(), 8)) {
    }
    EXPECT_EQ(place.error().code, Errc::no_memory);
    const std::uint64_t held = pool.held_bytes();
    EXPECT_FALSE(log.append(head_for(count), payload.data(), 100'000));
    EXPECT_EQ(pool.held_bytes(), held) << "the payload of a record that found no place is lost";
    LogReader late{job.arena, LogHead{job.segment.log_head(1, 0).load()}, 0};
    std::size_t found = 0;
    late.poll([&](const RecordRef& ref) {
        EXPECT_EQ(ref.record->sequence, found++);
        ref.release();
    });
    EXPECT_EQ(found, count);
    log.reclaim();
    EXPECT_TRUE(log.append(head_for(found), payload.data(), 100'000));
    EXPECT_EQ(late.poll([](const RecordRef&) {}), 1U);
}

}  // namespace
}  // namespace phoenix
