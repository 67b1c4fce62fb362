#pragma once
/// Writing, reading and scanning logs. See record.hpp for the byte map and its invariants.

#include "memory/extent_pool.hpp"
#include "messaging/record.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <span>
#include <utility>

namespace phoenix {

/// A record where it lies.
struct RecordRef {
    Record* record{nullptr};
    ChunkHeader* chunk{nullptr};

    [[nodiscard]] std::uint32_t line() const noexcept {
        return static_cast<std::uint32_t>(record - reinterpret_cast<Record*>(chunk));
    }
    [[nodiscard]] bool released() const noexcept {
        const std::uint32_t at = line();
        return (chunk->released[at / 64].load(std::memory_order_acquire) >> (at % 64) & 1) != 0;
    }
    /// Says that the consumption of this record is committed. Idempotent; any member may say so.
    void release() const noexcept {
        const std::uint32_t at = line();
        // Release: our reads of the record come before its reuse; pairs with the acquire load in LogWriter::reclaim.
        chunk->released[at / 64].fetch_or(std::uint64_t{1} << (at % 64), std::memory_order_release);
    }
};

/// The same for many records; of those that lie together 64 lines cost one operation.
inline void release_all(std::span<const RecordRef> records) noexcept {
    for (std::size_t index = 0; index < records.size();) {
        ChunkHeader* const chunk = records[index].chunk;
        const std::uint32_t word = records[index].line() / 64;
        std::uint64_t bits = 0;
        for (; index < records.size() && records[index].chunk == chunk && records[index].line() / 64 == word; ++index)
            bits |= std::uint64_t{1} << (records[index].line() % 64);
        chunk->released[word].fetch_or(bits, std::memory_order_release);  // as RecordRef::release
    }
}

/// What a record carries but for its payload.
struct RecordHead {
    std::uint32_t source;
    std::uint32_t destination;
    std::uint32_t tag;
    std::uint32_t serial;
    std::uint64_t sequence;
    std::uint32_t domain;
    std::uint32_t generation;
};

/// Bytes of a record's payload, in place.
[[nodiscard]] inline const std::byte* payload_of(const Record& record, const ExtentPool& pool) noexcept {
    switch (record.kind()) {
        case RecordKind::inline_payload: return record.small.data();
        case RecordKind::chunk_payload: return reinterpret_cast<const std::byte*>(&record + 1);
        case RecordKind::extent_payload: return pool.data(record.large.extent);
        case RecordKind::link: break;
    }
    return nullptr;
}

/// Between whom a log is: slots, and the incarnation of the reader's.
struct LogEnds {
    std::uint32_t writer{0};
    std::uint32_t reader{0};
    std::uint32_t reader_incarnation{0};
};

/// The writing end of one log. Single-threaded, in the member that `ends.writer` names.
class LogWriter {
  public:
    LogWriter(ExtentPool& pool, const Arena& arena, std::atomic<std::uint64_t>& head, LogEnds ends) noexcept
        : pool_(&pool), arena_(&arena), head_(&head), ends_(ends) {}

    /// Appends a record with a copy of `size` bytes. Visible to the reader on return.
    [[nodiscard]] tl::expected<RecordRef, Failure> append(const RecordHead& head, const void* data,
                                                          std::uint64_t size) {
        if (size > inline_payload_max) return append_large(head, data, size);
        if (!has_room(1)) [[unlikely]] {
            if (auto done = add_chunk(); !done) return tl::unexpected(std::move(done.error()));
        }
        const RecordRef place = next_place(1);
        if (size != 0) std::memcpy(place.record->small.data(), data, size);
        publish(place, head, RecordKind::inline_payload, static_cast<std::uint32_t>(size), 1);
        return place;
    }
    /// Appends a record whose payload lies in `extent` already; the extent is the log's from here on.
    [[nodiscard]] tl::expected<RecordRef, Failure> append_extent(const RecordHead& head, ExtentId extent,
                                                                 std::uint64_t size);

    /// Gives back payloads and chunks whose records are all released, but for the chunk being written.
    void reclaim() noexcept;
    /// Takes the log out of the directory: its reader is gone. Nothing may be appended after that.
    void close() noexcept;
    /// As reclaim(), of a log that is closed: nobody follows links any more, and the last chunk goes too. True if
    /// nothing is left.
    bool reclaim_closed() noexcept;
    /// Calls visit(RecordRef) for every record not released, oldest first.
    template <typename Visit>
    void for_each_retained(Visit&& visit) const {
        for (const Chunk& chunk : chunks_)
            for (std::uint32_t word = 0; word < 16; ++word)
                for (std::uint64_t bits =
                         chunk.records[word] & ~chunk.header->released[word].load(std::memory_order_acquire);
                     bits != 0; bits &= bits - 1) {
                    const auto line = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
                    auto* record = reinterpret_cast<Record*>(chunk.header) + line;
                    if (record->kind() != RecordKind::link) visit(RecordRef{record, chunk.header});
                }
    }
    /// True once after the log got its first chunk: the reader must be told.
    [[nodiscard]] bool take_new() noexcept { return std::exchange(is_new_, false); }
    [[nodiscard]] const LogEnds& ends() const noexcept { return ends_; }

  private:
    struct Payload {
        RecordRef record;
        ExtentId extent;
    };
    struct Chunk {
        ChunkHeader* header;
        std::array<std::uint64_t, 16> records{};  ///< Lines that hold a record, ours alone.
    };
    /// Stamps are cleared so many lines ahead, after a record is visible: the reader waits for that store no longer.
    /// More than two takes the line out of the cache again before it is written (measured: bench/pingpong).
    static constexpr std::uint32_t cleared_ahead = 2;

    [[nodiscard]] tl::expected<RecordRef, Failure> append_large(const RecordHead& head, const void* data,
                                                                std::uint64_t size);
    [[nodiscard]] tl::expected<void, Failure> add_chunk();
    [[nodiscard]] static bool all_released(const Chunk& chunk, bool reader_gone) noexcept;
    void reclaim_payloads() noexcept;
    void give_back(const Chunk& chunk) noexcept;
    void reclaim_some_chunks() noexcept;
    void reclaim_some_payloads() noexcept;
    /// One line is always kept for the link to the next chunk.
    [[nodiscard]] bool has_room(std::uint32_t lines) const noexcept { return line_ + lines < chunk_lines; }
    /// Where a record of `lines` lines goes; there is room for it.
    [[nodiscard]] RecordRef next_place(std::uint32_t lines) noexcept {
        auto* record = reinterpret_cast<Record*>(current_) + line_;
        // Old bytes at the line after this record must not look like one; ordered before the stamp by its release.
        if (cleared_ <= line_ + lines) {
            (record + lines)->stamp.store(0, std::memory_order_relaxed);
            cleared_ = line_ + lines + 1;
        }
        return RecordRef{record, current_};
    }
    /// The same after making room.
    [[nodiscard]] tl::expected<RecordRef, Failure> claim(std::uint32_t lines) {
        if (!has_room(lines)) {
            if (auto done = add_chunk(); !done) return tl::unexpected(std::move(done.error()));
        }
        return next_place(lines);
    }
    void publish(const RecordRef& place, const RecordHead& head, RecordKind kind, std::uint32_t length,
                 std::uint32_t lines) noexcept {
        Record& record = *place.record;
        record.source = head.source;
        record.destination = head.destination;
        record.tag_kind = head.tag << 8 | static_cast<std::uint32_t>(kind);
        record.serial = head.serial;
        record.sequence = head.sequence;
        record.domain_generation = head.generation << 8 | head.domain;
        record.length = length;
        // Publishes the record; pairs with the acquire load in LogReader::ready and scan_chunk.
        record.stamp.store(stamp_of(use_, line_), std::memory_order_release);
        // All below is ours alone and comes after, so that the reader does not wait for it.
        chunks_.back().records[line_ / 64] |= std::uint64_t{1} << (line_ % 64);
        line_ += lines;
        const std::uint32_t end = std::min(line_ + cleared_ahead, chunk_lines);
        // Ordered before the stamps that come before them by those stamps' release.
        for (; cleared_ < end; ++cleared_)
            reinterpret_cast<Record*>(current_)[cleared_].stamp.store(0, std::memory_order_relaxed);
    }

    ExtentPool* pool_;
    const Arena* arena_;
    std::atomic<std::uint64_t>* head_;
    LogEnds ends_;
    ChunkHeader* current_{nullptr};
    std::uint64_t use_{0};
    std::uint32_t line_{chunk_lines};
    std::uint32_t cleared_{0};  ///< Invariant: the stamps of lines [line_, cleared_) are 0, and cleared_ > line_.
    bool is_new_{false};
    std::deque<Chunk> chunks_;
    std::deque<Payload> payloads_;
    std::size_t looked_at_{0};  ///< Chunk that reclaim_some_chunks() looks at next.
};

/// The reading end of one log. Single-threaded, in the member that is its reader.
class LogReader {
  public:
    /// `head` must be for the incarnation that reads.
    LogReader(const Arena& arena, LogHead head, std::uint32_t writer) noexcept : arena_(&arena), writer_(writer) {
        go_to(arena.object<ChunkHeader>(head.offset()));
    }

    /// Calls visit(RecordRef) for each record that has come since; returns how many.
    template <typename Visit>
    std::size_t poll(Visit&& visit) {
        std::size_t found = 0;
        while (ready()) {
            const RecordRef ref{next_, chunk_};
            if (next_->kind() == RecordKind::link) {
                go_to(arena_->object<ChunkHeader>(next_->next_chunk));
                ref.release();  // from here on the old chunk may be used again
                continue;
            }
            advance();
            ++found;
            visit(ref);
        }
        return found;
    }
    /// Takes the next record past poll() if wanted(record) says so; null if none is there or that one is not wanted.
    template <typename Wanted>
    [[nodiscard]] RecordRef take_if(Wanted&& wanted) {
        if (!ready() || next_->kind() == RecordKind::link || !wanted(std::as_const(*next_))) return {};
        const RecordRef ref{next_, chunk_};
        advance();
        return ref;
    }
    /// True if a record is there that poll() has not visited.
    [[nodiscard]] bool ready() const noexcept {
        // Pairs with the release store in LogWriter::publish.
        return next_->stamp.load(std::memory_order_acquire) == expected_;
    }
    [[nodiscard]] std::uint32_t writer() const noexcept { return writer_; }

  private:
    void advance() noexcept {
        const std::uint32_t lines = next_->lines();
        next_ += lines;
        expected_ += lines;
    }
    void go_to(ChunkHeader& chunk) noexcept {
        chunk_ = &chunk;
        next_ = reinterpret_cast<Record*>(chunk_) + chunk_first_line;
        expected_ = stamp_of(chunk.use, chunk_first_line);
    }

    const Arena* arena_;
    ChunkHeader* chunk_{nullptr};
    Record* next_{nullptr};      ///< Where the next record will appear.
    std::uint64_t expected_{0};  ///< Its stamp; lines are its low bits, so it grows with them.
    std::uint32_t writer_;
};

/// Visits the records of the chunk in extent `id`, of whatever log, while its writer may be at work or dead and the
/// chunk may be used again at any time: visit(RecordRef, const Record& copy) gets a copy of the head that was whole.
/// Records that are released are passed over. The others stay until they are, so whoever alone may release a record may
/// keep it.
template <typename Visit>
void scan_chunk(const ExtentPool& pool, ExtentId id, std::uint64_t owner_word, Visit&& visit) {
    auto* header = reinterpret_cast<ChunkHeader*>(pool.data(id));
    auto* lines = reinterpret_cast<Record*>(header);
    const std::uint64_t use = header->use;
    for (std::uint32_t line = chunk_first_line; line < chunk_lines;) {
        Record& record = lines[line];
        if (record.stamp.load(std::memory_order_acquire) != stamp_of(use, line)) return;
        Record copy;
        copy.stamp.store(0, std::memory_order_relaxed);
        std::memcpy(reinterpret_cast<std::byte*>(&copy) + sizeof copy.stamp,
                    reinterpret_cast<const std::byte*>(&record) + sizeof record.stamp,
                    sizeof record - sizeof record.stamp);
        // Before the owner is looked at again: afterwards the bit may be that of another record.
        const RecordRef ref{&record, header};
        const bool released = ref.released();
        std::atomic_thread_fence(std::memory_order_acquire);
        // Used again meanwhile: all its records were released. Whose it is may change without that, see disown().
        if (!ExtentOwner::same_use(pool.owner_word(id), owner_word)) return;
        if (!released && copy.kind() != RecordKind::link) visit(ref, copy);
        line += copy.lines();
    }
}

}  // namespace phoenix
