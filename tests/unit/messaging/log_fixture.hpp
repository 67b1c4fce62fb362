#pragma once
/// A log from member 0 to member 1 in the memory of a job of this process.

#include "messaging/log.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "unit/memory/test_job.hpp"

namespace phoenix::testing_tools {

/// Payload of the record with this sequence: every byte depends on the sequence and its place.
inline std::vector<std::byte> payload_for(std::uint64_t sequence, std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(sequence * 31 + i * 7 + (i >> 8) + 1);
    return bytes;
}

inline RecordHead head_for(std::uint64_t sequence) {
    const auto low = static_cast<std::uint32_t>(sequence);
    return {low + 1, low + 2, (low + 3) & 0xFFFFFF, low + 4, sequence, low & 0x3F, (low + 5) & 0xFFFFFF};
}

/// Whether the head of a record, or of a copy of one, is what head_for() makes.
inline bool is_head_for(const Record& record, std::uint64_t sequence) {
    const RecordHead head = head_for(sequence);
    return record.sequence == sequence && record.source == head.source && record.destination == head.destination &&
           record.tag() == head.tag && record.serial == head.serial && record.domain() == head.domain &&
           record.generation() == head.generation;
}

inline bool is_whole(const Record& record, const ExtentPool& pool, std::uint64_t sequence, std::size_t size) {
    if (!is_head_for(record, sequence) || record.payload_size() != size) return false;
    const std::vector<std::byte> expected = payload_for(sequence, size);
    return size == 0 || std::memcmp(payload_of(record, pool), expected.data(), size) == 0;
}

inline RecordRef append_to(LogWriter& writer, std::uint64_t sequence, std::size_t size) {
    const std::vector<std::byte> payload = payload_for(sequence, size);
    return value_or_throw(writer.append(head_for(sequence), payload.data(), size));
}

/// Scans all chunks; visit(RecordRef, const Record& copy).
template <typename Visit>
void scan_all(const ExtentPool& pool, Visit&& visit) {
    pool.for_each([&](ExtentId id, std::uint64_t word, const ExtentOwner& owner) {
        if (owner.kind == ExtentKind::chunk) scan_chunk(pool, id, word, visit);
    });
}

class LogFixture : public testing::Test {
  protected:
    RecordRef append(std::size_t size) { return append_to(writer_, next_sequence_++, size); }
    std::vector<RecordRef> append_many(std::size_t count, std::size_t size) {
        std::vector<RecordRef> places(count);
        for (RecordRef& place : places) place = append(size);
        return places;
    }
    /// The reader begins with the log's first chunk.
    std::vector<RecordRef> read_all() {
        if (!reader_) reader_ = std::make_unique<LogReader>(job_.arena, LogHead{job_.segment.log_head(1, 0).load()}, 0);
        std::vector<RecordRef> found;
        reader_->poll([&](const RecordRef& ref) { found.push_back(ref); });
        return found;
    }
    /// Sequences a scan finds.
    [[nodiscard]] std::set<std::uint64_t> scanned() const {
        std::set<std::uint64_t> sequences;
        scan_all(pool_, [&](const RecordRef&, const Record& copy) { sequences.insert(copy.sequence); });
        return sequences;
    }
    [[nodiscard]] std::vector<std::uint64_t> retained() const {
        std::vector<std::uint64_t> sequences;
        writer_.for_each_retained([&](const RecordRef& ref) { sequences.push_back(ref.record->sequence); });
        return sequences;
    }

    TestJob job_;
    ExtentPool pool_{job_.segment, job_.arena, 0};
    LogWriter writer_{pool_, job_.arena, job_.segment.log_head(1, 0), {0, 1, 1}};
    std::unique_ptr<LogReader> reader_;
    std::uint64_t next_sequence_{0};
};

}  // namespace phoenix::testing_tools
