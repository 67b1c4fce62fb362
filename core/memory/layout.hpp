#pragma once
/// Byte map of the control segment: the small named shared-memory object of a job on a node. It is a file format:
/// offsets, no pointers, lock-free atomics only, and a writer may die between any two instructions, so each structure
/// is either single-writer with a publishing store or changed by one compare-and-swap.
///
/// name      /phoenix.<uid>.<job id>            mode 0600
/// contents  ControlHeader, MemberRecord[256], ViewBuffer[512], log directory u64[256][256], OnceCell[2048],
///           FaultEntry[256], EventRecord[4096]
///
/// All else (directories, fields, commits, logs, payloads) lives in the arena, see memory/arena.hpp.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace phoenix {

inline constexpr std::uint64_t control_magic = 0x31304C464E454F50;  // "POENFL01", little endian
inline constexpr std::uint32_t layout_version = 7;
inline constexpr std::uint32_t member_count_max = 256;
inline constexpr std::uint32_t node_count_max = 64;
inline constexpr std::uint32_t domain_count_max = 62;
inline constexpr std::uint32_t vnode_count_max = 1U << 24;
inline constexpr std::uint32_t once_cell_count = 2048;
inline constexpr std::uint32_t fault_count_max = 256;
inline constexpr std::uint32_t event_count = 4096;

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "a lock would live in one process only");
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

/// How the job ended. Written once, by compare-and-swap from `running`.
enum class Outcome : std::uint32_t {
    running = 0,
    deciding = 1,  ///< Somebody writes the text; becomes `failed` or `interrupted` next.
    completed = 2,
    failed = 3,
    interrupted = 4
};

/// What carries payloads to a node. For people: nothing is decided by it.
enum class RouteState : std::uint32_t { none = 0, tcp = 1, mpi = 2 };
struct RouteRecord {
    std::atomic<RouteState> state;
    std::atomic<std::uint32_t> reconnects;        ///< Connections of this link that broke and were made again.
    std::atomic<std::uint64_t> carried_frames;    ///< By MPI, and accepted; of this link, as all that follows.
    std::atomic<std::uint64_t> carried_bytes;     ///< Payload of these.
    std::atomic<std::uint64_t> withdrawn_frames;  ///< Offered to MPI and sent over TCP after all.
    std::atomic<std::uint64_t> kept_bytes;        ///< Memory that MPI has not let go of after a transfer was given up.
};
static_assert(sizeof(RouteRecord) == 40);

struct ControlHeader {
    std::atomic<std::uint64_t> magic;      //    0  stored last by the creator: the segment is complete
    std::uint32_t version;                 //    8  layout_version
    std::uint32_t size_bytes;              //   12  of the whole segment
    std::array<char, 48> job_id;           //   16  zero-terminated
    std::int32_t creator_pid;              //   64  here and at 72 in every version: others look whether the job lives
    std::uint32_t node_id;                 //   68  of this node in the job
    std::uint64_t creator_start_time;      //   72
    std::array<std::uint8_t, 32> secret;   //   80  credential of the job; whoever can read this segment has it
    std::uint64_t arena_size_max;          //  112  bytes reserved in every member's address space
    std::uint32_t arena_is_named;          //  120  0: memfd handed over by the agent; 1: /phoenix.<uid>.<job id>.arena
    std::uint32_t node_count;              //  124  nodes of the job at its start
    std::atomic<std::uint64_t> arena_end;  //  128  bytes of the arena given out; grows by compare-and-swap
    std::atomic<std::uint32_t> extent_count;                  //  136  entries of the extent table in use
    std::uint32_t reserved2;                                  //  140
    std::array<std::atomic<std::uint64_t>, 48> free_extents;  // 144  per class: tag(32) | first free entry + 1
    std::atomic<std::uint32_t> agent_pid;                     //  528  the launcher that serves this node; 0: none
    std::atomic<std::uint32_t>
        expected_members;             // 532  who is to come at the start; the agent lowers it for those that died early
    std::uint64_t agent_start_time;   //  536
    std::uint64_t start_deadline_ns;  //  544  boot time after which VNodes are placed on whoever is there
    std::atomic<std::uint64_t> next_order;    //  552  join tickets
    std::atomic<std::uint64_t> view_current;  //  560  view number(48) | view buffer index(16); decides by CAS
    std::atomic<std::uint32_t> domain_count;  //  568  domains published in `domains`
    std::atomic<std::uint32_t> outcome;       //  572  enum Outcome
    std::array<std::atomic<std::uint64_t>, domain_count_max>
        domains;                               // 576  arena offset of each DomainHeader; 0: none
    std::atomic<std::uint64_t> event_next;     // 1072
    std::atomic<std::uint32_t> fault_count;    // 1080  entries of the fault plan, fixed once members start
    std::int32_t outcome_code;                 // 1084  Errc of the failure
    std::atomic<std::uint32_t> outcome_shown;  //  1088  somebody has printed the outcome
    std::uint32_t settings_size;               // 1092
    std::array<char, 4096> outcome_text;       // 1096  zero-terminated sentence, valid once outcome >= completed
    std::array<char, 6144> settings;           // 5192  JSON, see memory/settings.hpp; fixed before members start
    std::atomic<std::uint32_t>
        service_news;                        // 11336  counts news for service threads: arrivals, wishes, phases entered
    std::atomic<std::uint32_t> grow_wanted;  // 11340  members asked for beyond those of the start, over the job's life
    std::atomic<std::uint32_t> grow_started;  // 11344  of these, how many the agent has started or given up
    std::atomic<std::uint32_t> grow_failed;   // 11348  of these, how many never attached
    std::atomic<std::uint32_t>
        arena_handed_out;             // 11352  1: the agent has given the arena to somebody, or was about to
    std::atomic<std::uint32_t> port;  // 11356  slot + 1 of the port that takes messages to other nodes; 0: none
    /// Where the port of each node listens: IPv4 address (32) << 16 | TCP port (16); 0: not known. A port stores its
    /// own, the agents spread it.
    std::array<std::atomic<std::uint64_t>, node_count_max> port_addresses;  // 11360
    std::atomic<std::uint32_t> once_news;  // 11872  grows when a member asks the port for something to be done once
    std::atomic<std::uint32_t> keepers_elsewhere;  // 11876  members of other nodes that stay, as their ports say
    std::atomic<std::uint64_t> past_steps;         // 11880  of members whose slots others have had since; for people
    std::atomic<std::uint64_t> past_recoveries;    // 11888  the same
    std::atomic<std::uint64_t> nodes_over;  // 11896  bit n: node n has no members and will have none, its port says
    std::array<RouteRecord, node_count_max> routes;  // 11904  to the ports of other nodes; the port's, for people
};
static_assert(offsetof(ControlHeader, creator_pid) == 64);
static_assert(offsetof(ControlHeader, creator_start_time) == 72);
static_assert(offsetof(ControlHeader, arena_end) == 128);
static_assert(offsetof(ControlHeader, free_extents) == 144);
static_assert(offsetof(ControlHeader, view_current) == 560);
static_assert(offsetof(ControlHeader, domains) == 576);
static_assert(offsetof(ControlHeader, event_next) == 1072);
static_assert(offsetof(ControlHeader, outcome_text) == 1096);
static_assert(offsetof(ControlHeader, settings) == 5192);
static_assert(offsetof(ControlHeader, service_news) == 11336);
static_assert(offsetof(ControlHeader, port_addresses) == 11360);
static_assert(offsetof(ControlHeader, past_steps) == 11880);
static_assert(offsetof(ControlHeader, routes) == 11904);

/// What a member says of itself; what the others agreed about it is in the view.
enum class Presence : std::uint32_t {
    empty = 0,    ///< Nobody's: never used, or nothing is left of who had it.
    claimed = 1,  ///< Slot taken by compare-and-swap, record being filled.
    present = 2,  ///< Attached; identity below is valid.
    leaving = 3   ///< Finished in good order; its process may be gone at any time.
};

/// What a process in the member table is there for.
enum class MemberRole : std::uint32_t {
    executes = 0,  ///< It executes VNodes.
    port = 1       ///< It carries messages and states to other nodes, and executes nothing.
};

/// Whether a member is to drain and leave. Set by whoever asks, taken back by the coordinator.
enum class RetireWish : std::uint32_t {
    none = 0,
    wanted = 1,
    refused = 2  ///< Nobody else is left to take its VNodes.
};

/// One member of this node. Each cache line has one kind of writer.
struct alignas(64) MemberRecord {
    // line 0: doorbell; written by whoever has news for this member
    std::atomic<std::uint32_t> sleeping;     //   0  futex word: 1 while the member sleeps, 0 by whoever wakes it
    std::atomic<std::uint32_t> attention;    //   4  counts news other than records: views, owners, ends of phases
    std::atomic<std::uint32_t> new_logs;     //   8  counts logs newly made towards this member
    std::atomic<std::uint32_t> collected;    //  12  incarnation of which the launcher has read the last words
    std::atomic<std::uint64_t> retire;       //  16  RetireWord, see memory/member_table.hpp
    std::array<std::uint64_t, 5> reserved0;  //  24
    // line 1: identity; written by whoever claims the slot, see memory/member_table.hpp
    std::atomic<std::uint64_t> standing;     //  64  Standing: incarnation, pid, enum Presence
    std::atomic<std::uint64_t> start_time;   //  72  of the process
    std::atomic<std::uint64_t> order;        //  80  join ticket: the lower, the older
    std::atomic<std::uint32_t> role;         //  88  enum MemberRole
    std::atomic<std::uint32_t> numa;         //  92  NUMA node it is bound to + 1; 0: to none, or not known
    std::array<std::uint64_t, 4> reserved2;  //  96
    // line 2: written by the member's service thread
    std::atomic<std::uint64_t> heartbeat;          // 128  counts
    std::atomic<std::uint64_t> acknowledged_view;  // 136
    std::array<std::uint64_t, 6> reserved3;        // 144
    // line 3: written by the member's worker
    std::atomic<std::uint64_t> executing;  // 192  domain + 1 (8) | VNode (24) | step (32): what it runs now; 0: nothing
    std::atomic<std::uint64_t> steps;      // 200  VNode steps executed, repeated ones too
    std::atomic<std::uint64_t> activity;   // 208  changes whenever the worker did something: deadlock verdict
    std::atomic<std::uint32_t> waiting;    // 216  1: nothing to run, sleeps until the doorbell rings
    std::atomic<std::uint32_t> generation;  // 220  generation whose steps this member has stopped executing below
    std::atomic<std::uint64_t> recoveries;  // 224  VNodes adopted after a death
    std::atomic<std::uint64_t> taking;      // 232  bit d: it is in a phase of domain d and executes what it is given
    std::atomic<std::uint32_t> drained;     // 240  1: left before the end of the program, as asked
    std::uint32_t reserved4;                // 244
    std::uint64_t reserved5;                // 248
    // line 4: last words; written by a signal handler or at exit
    std::atomic<std::uint32_t> fault_signal;             // 256  signal that ended it by its own fault; 0: none
    std::atomic<std::uint32_t> exit_state;               // 260  0: not exited by itself; 0x100 | exit status
    std::atomic<std::uint64_t> fault_address;            // 264
    std::atomic<std::uint64_t> fault_executing;          // 272  `executing` at the fault
    std::atomic<std::uint32_t> fault_is_stack_overflow;  // 280
    std::array<std::uint32_t, 9> reserved6;              // 284
};
static_assert(sizeof(MemberRecord) == 320);
static_assert(offsetof(MemberRecord, standing) == 64);
static_assert(offsetof(MemberRecord, numa) == 92);
static_assert(offsetof(MemberRecord, heartbeat) == 128);
static_assert(offsetof(MemberRecord, retire) == 16);
static_assert(offsetof(MemberRecord, executing) == 192);
static_assert(offsetof(MemberRecord, taking) == 232);
static_assert(offsetof(MemberRecord, fault_signal) == 256);

/// Room for one proposed view; two per member slot, so that a proposer never writes into the buffer of the view in
/// force if it proposed that one. Contents: membership/view.hpp.
inline constexpr std::size_t view_buffer_size = 8192;

/// Where something that is done once in the whole job stands on a node that is not the home node.
enum class JobTurn : std::uint32_t {
    none = 0,
    asked = 1,    ///< A member of this node has claimed the cell; the home node is to be asked.
    granted = 2,  ///< This node may do it.
    offered = 3   ///< It has been done here: result_offset and result_size are set, the home node is to record it.
};

/// Something that must be done once: claimed by a member, recorded by it, done again by another only if that one died.
struct alignas(64) OnceCell {
    std::atomic<std::uint64_t> key;    //  0  hash of the name; 0: free
    std::atomic<std::uint64_t> state;  //  8  0 open | (slot + 1) << 32 | incarnation: claimed | ~0: recorded
    std::uint64_t result_offset;       // 16  in the arena; valid once recorded
    std::uint64_t result_size;         // 24  bytes
    std::array<char, 88> name;         // 32  zero-terminated; written by whoever took the cell
    std::atomic<std::uint32_t> job;    // 120  enum JobTurn; by the claimant and the port
    std::uint32_t reserved;            // 124
};
static_assert(sizeof(OnceCell) == 128);

enum class FaultKind : std::uint32_t {
    none = 0,
    kill = 1,
    stop = 2,
    join = 3,      ///< `count` members join; whoever reaches the step first asks the agent for them.
    retire = 4,    ///< The target drains and leaves.
    move = 5,      ///< The target hands the VNode that starts the step over to another member.
    kill_port = 6  ///< Whoever reaches the step first says so, and the agent kills the node's port.
};

/// A planned fault (`--fault`, `--chaos`): fires in the member that meets it, once.
struct alignas(64) FaultEntry {
    std::uint32_t kind;             //  0  FaultKind
    std::int32_t target;            //  4  member slot; -1: the coordinator of that moment; -2: `pick`-th active member;
                                    //     -3: whoever comes first
    std::uint64_t step;             //  8  when the first VNode of the target starts this step (or one after it)
    double step_fraction;           // 16  >= 0: step = fraction * steps of the phase, instead of `step`
    std::uint64_t pick;             // 24  for target -2: index modulo the active members
    std::uint64_t resume_after_ns;  // 32  stop: the launcher continues it after this; 0: never
    std::atomic<std::uint32_t> fired;        // 40  0 -> slot + 1 by compare-and-swap
    std::uint32_t after;                     // 44  index + 1 of the entry that must have fired before; 0: none
    std::atomic<std::uint64_t> fired_at_ns;  // 48  boot time
    std::uint32_t count;                     // 56  join: members
    std::uint32_t reserved;                  // 60
};
static_assert(sizeof(FaultEntry) == 64);

enum class EventKind : std::uint32_t {
    none = 0,
    member_joined,   ///< subject: slot; detail: pid
    member_active,   ///< subject: slot; detail: view number
    member_failed,   ///< subject: slot; detail: view number
    member_hung,     ///< subject: slot: its heartbeat stopped, it is being killed
    member_retired,  ///< subject: slot; detail: view number
    death_seen,      ///< subject: slot
    adopted,         ///< subject: adopting slot; detail: VNodes restored; peer: slot they came from
    resumed,      ///< subject: adopting slot; detail: VNode whose repeated step begins first; peer: slot it came from;
                  ///< extra: step
    fault_fired,  ///< subject: slot; detail: index of the fault
    phase_begun,  ///< subject: domain; detail: phase
    phase_ended,  ///< subject: domain; detail: phase
    checkpoint_written,  ///< subject: domain; detail: step
    rolled_back,         ///< subject: domain; detail: step
    restored,            ///< subject: domain; detail: step of the checkpoint
    checkpoint_skipped,  ///< subject: domain; detail: number of damaged checkpoints passed over
    member_draining,     ///< subject: slot; detail: view number
    drain_timed_out,     ///< subject: slot: it is being killed
    moved,               ///< subject: receiving slot; detail: VNodes taken from living members; peer: the last giver
    port_started         ///< subject: node; detail: pid; extra: how many ports of the node there were before
};

/// One line of the job's timeline.
struct alignas(64) EventRecord {
    std::atomic<std::uint64_t> stamp;  //  0  event number + 1, stored last
    std::uint64_t time_ns;             //  8  boot time
    std::uint32_t kind;                // 16  EventKind
    std::uint32_t subject;             // 20
    std::uint64_t detail;              // 24
    std::uint32_t peer;                // 32
    std::uint32_t reserved;            // 36
    std::uint64_t extra;               // 40
    std::uint64_t reserved1;           // 48
    std::uint64_t reserved2;           // 56
};
static_assert(sizeof(EventRecord) == 64);

inline constexpr std::size_t control_members_offset = 16384;
inline constexpr std::size_t control_views_offset = control_members_offset + member_count_max * sizeof(MemberRecord);
inline constexpr std::size_t control_logs_offset =
    control_views_offset + std::size_t{2} * member_count_max * view_buffer_size;
inline constexpr std::size_t control_once_offset =
    control_logs_offset + std::size_t{member_count_max} * member_count_max * sizeof(std::uint64_t);
inline constexpr std::size_t control_faults_offset = control_once_offset + once_cell_count * sizeof(OnceCell);
inline constexpr std::size_t control_events_offset = control_faults_offset + fault_count_max * sizeof(FaultEntry);
inline constexpr std::size_t control_size_bytes = control_events_offset + event_count * sizeof(EventRecord);
static_assert(sizeof(ControlHeader) <= control_members_offset);

}  // namespace phoenix
