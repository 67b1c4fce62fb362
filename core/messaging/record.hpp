#pragma once
/// Byte map of the logs. A log, from one member to another (or to itself), is a chain of chunks; a chunk is an array of
/// 64-byte lines: three of header, then records. A record is one line, with a small payload in it, a middle one in the
/// lines that follow, a large one in an extent.
///
/// Invariants
///   - Only the writer writes records; the stamp is stored last, and the next line's stamp is cleared before that, so a
///     reader that waits at a line never takes old bytes for a record.
///   - A record stays until the receiving VNode has *committed* its consumption; then its bit in `released` is set, by
///     whoever finds out, any number of times. A chunk is used again when the bits of all its records are set.
///   - Retention is thus apart from order: a slow VNode keeps the chunks its records lie in and nothing else.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace phoenix {

inline constexpr std::uint32_t line_size = 64;
inline constexpr std::uint32_t chunk_size = 65536;
inline constexpr std::uint32_t chunk_lines = chunk_size / line_size;
inline constexpr std::uint32_t chunk_first_line = 3;
inline constexpr std::uint32_t inline_payload_max = 24;
inline constexpr std::uint32_t chunk_payload_max = 16384;

enum class RecordKind : std::uint32_t {
    inline_payload = 0,  ///< In the record.
    chunk_payload = 1,   ///< In the lines that follow.
    extent_payload = 2,  ///< In an extent.
    link = 3             ///< The log goes on in another chunk.
};

struct alignas(64) ChunkHeader {
    std::uint64_t use;        //   0  number of this use of the chunk, unique for its writer; part of every stamp
    std::uint32_t writer;     //   8  member slot
    std::uint32_t reader;     //  12  member slot
    std::uint32_t extent;     //  16  extent id of this chunk
    std::uint32_t reserved0;  //  20
    std::array<std::uint64_t, 5> reserved1;               //  24
    std::array<std::atomic<std::uint64_t>, 16> released;  //  64  bit per line
};
static_assert(sizeof(ChunkHeader) == chunk_first_line * line_size);

struct alignas(64) Record {
    std::atomic<std::uint64_t> stamp;  //  0  use << 10 | line
    std::uint32_t source;              //  8  VNode
    std::uint32_t destination;         // 12  VNode
    std::uint32_t tag_kind;            // 16  tag << 8 | RecordKind
    std::uint32_t serial;              // 20  step of the sender, counted over all phases
    std::uint64_t sequence;            // 24  of the channel (source, destination), from 0
    std::uint32_t domain_generation;   // 32  generation << 8 | domain
    std::uint32_t length;              // 36  payload bytes (extent payloads: see below)
    union {
        std::array<std::byte, inline_payload_max> small;  // 40
        struct {
            std::uint64_t size;      // 40  payload bytes
            std::uint32_t extent;    // 48
            std::uint32_t reserved;  // 52
        } large;
        std::uint64_t next_chunk;  // 40  arena offset
    };

    [[nodiscard]] RecordKind kind() const noexcept { return static_cast<RecordKind>(tag_kind & 0xFF); }
    [[nodiscard]] std::uint32_t tag() const noexcept { return tag_kind >> 8; }
    [[nodiscard]] std::uint32_t domain() const noexcept { return domain_generation & 0xFF; }
    [[nodiscard]] std::uint32_t generation() const noexcept { return domain_generation >> 8; }
    [[nodiscard]] std::uint64_t payload_size() const noexcept {
        return kind() == RecordKind::extent_payload ? large.size : length;
    }
    /// Lines this record occupies in its chunk.
    [[nodiscard]] std::uint32_t lines() const noexcept {
        return kind() == RecordKind::chunk_payload ? 1 + (length + line_size - 1) / line_size : 1;
    }
};
static_assert(sizeof(Record) == 64);
static_assert(offsetof(Record, sequence) == 24);
static_assert(offsetof(Record, small) == 40);

/// Word of the log directory: where the log from a writer to a reader begins, and which process in the reader's slot is
/// meant. A log that was begun for the predecessor is not the successor's: its writer has used chunks of it again, or
/// is about to. Only the writer stores one that is not 0.
struct LogHead {
    std::uint64_t bits{};  ///< incarnation of the reader 24 bits (63..40), arena offset / 64: 40 bits; 0: no log.

    [[nodiscard]] static constexpr LogHead make(std::uint64_t offset, std::uint32_t reader_incarnation) noexcept {
        return LogHead{std::uint64_t{reader_incarnation & 0xFFFFFF} << 40U | offset / line_size};
    }
    [[nodiscard]] constexpr std::uint64_t offset() const noexcept { return (bits & 0xFFFFFFFFFF) * line_size; }
    [[nodiscard]] constexpr bool is_for(std::uint32_t reader_incarnation) const noexcept {
        return bits != 0 && bits >> 40U == (reader_incarnation & 0xFFFFFF);
    }
};

[[nodiscard]] constexpr std::uint64_t stamp_of(std::uint64_t use, std::uint32_t line) noexcept {
    return use << 10 | line;
}

}  // namespace phoenix
