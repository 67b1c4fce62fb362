#pragma once
/// Byte map of a domain in the arena: header, directory, one record per VNode with two commit slots, collectives.
///
/// Invariants
///   - The directory word decides who may write a VNode's record and parts.
///   - `select` of a VNode record names the commit in force; slot = number & 1. Everything a re-execution needs is in
///   that
///     slot or reachable from it; the next commit is built in the other slot and published by one store of `select`.
///   - References to extents in either slot are valid at any instant: set to the new extent first, the old one freed
///   after.

#include "membership/directory.hpp"
#include "membership/location.hpp"
#include "memory/layout.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace phoenix {

inline constexpr std::uint32_t field_count_max = 32;
inline constexpr std::uint32_t checkpoint_part_count_max = 64;
inline constexpr std::uint32_t result_ring_size = 4096;

enum class DomainKind : std::uint32_t { domain = 0, space = 1 };

struct FieldRecord {
    std::array<char, 40> name;             //   0
    std::uint32_t element_class;           //  40  detail::ElementClass
    std::uint32_t element_size;            //  44  bytes
    std::uint32_t buffers;                 //  48  stored: 2 (fixed), 2 or 3 (two-buffer), 0 (resizable: extents)
    std::uint32_t two_buffer;              //  52  0 | 1
    std::uint32_t halo;                    //  56
    std::uint32_t resizable;               //  60  0 | 1
    std::uint32_t rank;                    //  64
    std::uint32_t uniform;                 //  68  1: all VNodes have `extents`
    std::array<std::uint64_t, 3> extents;  //  72
    std::uint64_t buffer_bytes;            //  96  of one buffer, halo and alignment counted in (uniform)
    std::uint64_t data_offset;             // 104  arena offset of VNode 0's first buffer (uniform)
    std::uint64_t table_offset;            // 112  arena offset of FieldPlace[V] (not uniform)
    std::uint64_t reserved;                // 120
};
static_assert(sizeof(FieldRecord) == 128);

/// Where a VNode's part lies when shapes differ.
struct FieldPlace {
    std::uint64_t offset;                  //  0
    std::uint64_t buffer_bytes;            //  8
    std::array<std::uint64_t, 3> extents;  // 16
    std::uint64_t reserved;                // 40
};
static_assert(sizeof(FieldPlace) == 48);

struct DomainHeader {
    std::uint32_t index;                 //   0  in ControlHeader::domains
    std::uint32_t kind;                  //   4  DomainKind
    std::uint32_t vnodes;                //   8
    std::uint32_t field_count;           //  12
    std::uint64_t layout_hash;           //  16
    std::uint64_t seed;                  //  24
    std::uint32_t commit_every;          //  32
    std::uint32_t recovery;              //  36  enum Recovery
    std::uint32_t collective_bytes_max;  //  40
    std::uint32_t record_stride;         //  44  bytes from one VNodeRecord to the next
    std::uint32_t slot_size;             //  48  bytes of a commit slot with its field states
    std::uint32_t placement;             //  52  tokens of a ring (24) | PlacementKind (8)
    std::uint64_t directory_offset;      //  56
    std::uint64_t records_offset;        //  64
    std::array<char, 56> name;           //  72
    // line 2: news, written by the coordinator and whoever ends a round
    std::atomic<std::uint64_t> directory_news;   // 128  grows after owners have changed
    std::atomic<std::uint64_t> collective_news;  // 136  grows after a round has a result
    std::atomic<std::uint64_t> collectives;      // 144  arena offset of the collectives' memory; 0: none yet
    std::atomic<std::uint64_t> lowest_rounds;    // 152  sync (32) | cast (32): every VNode has committed beyond these
    std::atomic<std::uint32_t> generation;   // 160  global recovery: members that had failed when it began; 0 otherwise
    std::atomic<std::uint32_t> phase;        // 164  highest phase begun
    std::atomic<std::uint64_t> phase_steps;  // 168  steps asked for in it
    std::atomic<std::uint64_t> stop_word;    // 176  phase (16) | step + 1 (48): the first stop() of the phase
    std::atomic<std::uint64_t> rollback;     // 184  generation (32) | commit number (32) it goes back to
    // line 3: checkpoints, see runtime/checkpointing.hpp
    std::atomic<std::uint64_t> gate_open;     // 192  checkpoints up to this serial are written (or given up)
    std::atomic<std::uint64_t> gate_plan;     // 200  serial (48) | parts (16) being written
    std::atomic<std::uint64_t> finish_claim;  // 208  serial (32) | state (2) | slot (12)
    std::atomic<std::uint64_t> checkpoints;   // 216  written so far
    std::atomic<std::uint32_t> stop_vnode;    // 224  who called the first stop()
    std::atomic<std::uint32_t> restored;      // 228  1: the restart checkpoint has been loaded (or there is none)
    std::uint64_t lineage;                    // 232  of the checkpoints, see checkpoint/cut.hpp
    std::uint32_t checkpoint_generation;      // 240  of this run's checkpoints, before any rollback
    std::uint32_t first_generation;           // 244  `generation` when the domain was made
    std::uint64_t reserved2;                  // 248
    std::array<std::atomic<std::uint64_t>, checkpoint_part_count_max> part_claims;  // 256  as finish_claim
    // line 12: moves between living members
    std::atomic<std::uint64_t> move_news;  // 768  grows after move requests have been stored
    std::uint64_t requests_offset;         // 776  of V move requests; 0 (spaces): none
    std::uint64_t locations_offset;        // 784  of V location words; 0: the job has one node
    std::atomic<std::uint64_t> fetch;      // 792  number (32) | field + 1 (32): parts of it are wanted from other nodes
    std::array<std::uint64_t, 4> reserved3;           // 800
    std::array<FieldRecord, field_count_max> fields;  // 832
};
static_assert(offsetof(DomainHeader, placement) == 52);
static_assert(offsetof(DomainHeader, directory_news) == 128);
static_assert(offsetof(DomainHeader, gate_open) == 192);
static_assert(offsetof(DomainHeader, part_claims) == 256);
static_assert(offsetof(DomainHeader, move_news) == 768);
static_assert(offsetof(DomainHeader, fields) == 832);

/// State of one field in a commit.
struct FieldCommit {
    std::uint64_t at;  //  0  fixed, two-buffer: index of the buffer in force; resizable: extent id, 0: no elements yet
    std::uint64_t count;  //  8  resizable: elements
};
static_assert(sizeof(FieldCommit) == 16);

inline constexpr std::uint32_t commit_finished = 1;  ///< The VNode's last step of the phase.
inline constexpr std::uint32_t commit_stopped = 2;   ///< ... because it called stop().

struct CommitSlot {
    std::uint64_t number;          //  0  of the commit; 0 while it is being written
    std::uint32_t phase;           //  8
    std::uint32_t flags;           // 12
    std::uint64_t step;            // 16  steps completed in the phase
    std::uint32_t serial;          // 24  steps completed over all phases
    std::uint32_t generation;      // 28
    std::uint32_t sync_round;      // 32  all_reduce and barrier rounds passed
    std::uint32_t cast_round;      // 36  broadcast rounds passed
    std::uint32_t channel_extent;  // 40  ChannelCommit records; 0: none
    std::uint32_t channel_count;   // 44
    std::uint32_t print_extent;    // 48  text released by this commit
    std::uint32_t print_size;      // 52
    std::uint64_t reserved;        // 56
    // 64  FieldCommit[field_count]
};
static_assert(sizeof(CommitSlot) == 64);

/// What a VNode waits for; shown by the deadlock verdict and the progress output.
enum class WaitKind : std::uint32_t {
    none = 0,
    message = 1,
    any_message = 2,
    all_reduce = 3,
    broadcast = 4,
    memory = 5,
    gate = 6
};

struct alignas(64) VNodeRecord {
    std::atomic<std::uint64_t> select;         //  0  number of the commit in force; written by the owner
    std::atomic<std::uint64_t> printed;        //  8  number of the last commit whose text has been put out
    std::atomic<std::uint64_t> wait;           // 16  WaitKind (8) | tag (24) | peer (32)
    std::atomic<std::uint64_t> wait_since;     // 24  boot time, ns
    std::atomic<std::uint64_t> wait_step;      // 32  step in which it waits
    std::atomic<std::uint32_t> commit_wanted;  // 40  somebody's memory is full of records for this VNode
    std::atomic<std::uint32_t>
        trace_extent;                     // 44  verify-replay: what the first execution of the step after `select` did
    std::atomic<std::uint32_t> executor;  // 48  slot + 1 of the member that executes it, or did last; 0: nobody yet
    std::atomic<std::uint32_t> replica;   // 52  DomainHeader::fetch number whose part was copied here
    std::uint64_t reserved1;              // 56
    // 64  commit slot 0, then commit slot 1, slot_size bytes each
};
static_assert(sizeof(VNodeRecord) == 64);

[[nodiscard]] inline CommitSlot& slot_of(VNodeRecord& record, const DomainHeader& header,
                                         std::uint64_t number) noexcept {
    return *reinterpret_cast<CommitSlot*>(reinterpret_cast<std::byte*>(&record + 1) + (number & 1) * header.slot_size);
}
/// The commit in force of a VNode that somebody else may be committing, whole: a slot is overwritten only by the second
/// commit after it, so an unchanged `select` means an intact copy.
[[nodiscard]] inline CommitSlot commit_of(VNodeRecord& record, const DomainHeader& header) noexcept {
    for (;;) {
        const std::uint64_t number = record.select.load(std::memory_order_acquire);
        CommitSlot copy;
        std::memcpy(&copy, &slot_of(record, header, number), sizeof copy);
        std::atomic_thread_fence(std::memory_order_acquire);
        if (record.select.load(std::memory_order_relaxed) != number) continue;
        if (number == 0) copy = {};  // nothing is committed; the slot may hold a second commit in the making
        return copy;
    }
}
[[nodiscard]] inline FieldCommit* fields_of(CommitSlot& slot) noexcept {
    return reinterpret_cast<FieldCommit*>(&slot + 1);
}

/// A node of the collectives' tree: leaves are VNodes, an inner node combines two below it. Two of them per place, used
/// in turn by even and odd rounds: nobody can be in round r + 2 before everybody has left round r.
struct CollectiveNode {
    std::atomic<std::uint64_t> word;  //  0  generation (16) | round + 1 (32) | slot (12) | state (4): 1 busy, 2 done
    std::uint32_t size;               //  8  bytes of the value
    std::uint32_t reserved;           // 12
    // 16  value
};
static_assert(sizeof(CollectiveNode) == 16);

/// A result of a round, kept until every VNode has committed beyond it.
struct CollectiveResult {
    std::atomic<std::uint64_t> word;  //  0  as CollectiveNode::word
    std::uint32_t size;               //  8  bytes
    std::uint32_t extent;             // 12  value lies there if not 0
    // 16  value
};
static_assert(sizeof(CollectiveResult) == 16);

}  // namespace phoenix
