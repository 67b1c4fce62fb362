#pragma once
/// A running job as values: what its shared memory says of members, domains and VNodes at one moment. Reading stops
/// nobody, so numbers that belong to different moments may stand beside each other.

#include "base/process.hpp"
#include "membership/directory.hpp"
#include "membership/view.hpp"
#include "memory/arena.hpp"
#include "runtime/domain_layout.hpp"
#include "runtime/job_progress.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace phoenix::pflight {

/// State letter of a process as in /proc/PID/stat; 'X': the process meant does not run.
using ProcessLook = std::function<char(ProcessIdentity)>;
[[nodiscard]] char look_at_process(ProcessIdentity identity);

/// What a worker runs: its MemberRecord::executing.
struct Execution {
    std::string domain;
    std::uint32_t vnode{0};
    std::uint64_t serial{0};  ///< Steps of the VNode completed before, over all phases.
};

struct MemberView {
    std::uint32_t slot{0};
    pid_t pid{0};
    MemberState state{MemberState::empty};  ///< By the view, and what its own record and its process say beyond that.
    char process{'X'};                      ///< As ProcessLook says.
    std::uint32_t incarnation{0};
    std::uint64_t seniority{0};  ///< The lower, the older; 0 while not admitted is no seniority.
    std::uint64_t vnodes{0};     ///< Owned, of all domains and spaces; by count_vnodes(), as the next.
    std::uint64_t vnodes_of_spaces{0};
    std::uint64_t steps{0};  ///< Executed, repeated ones too.
    std::optional<Execution> executing;
    bool waiting{false};  ///< Nothing to run, it sleeps.
    std::uint64_t heartbeat{0};
    std::uint64_t recoveries{0};  ///< VNodes taken over from the dead.
    bool coordinator{false};
    bool port{false};  ///< It carries messages to other nodes and executes nothing.
    RetireWish wish{RetireWish::none};
    bool drained{false};  ///< Left before the end of the program, as asked.
};

struct DomainView {
    std::uint32_t index{0};
    std::string name;
    DomainKind kind{DomainKind::domain};
    std::uint32_t vnodes{0};
    std::string placement;  ///< Of a domain, as `pflight run --placement` takes it; "custom": the application's.
    JobProgress progress;   ///< Of a domain; a space has no steps.
};

struct VNodeView {
    std::uint32_t vnode{0};
    OwnerState state{OwnerState::unassigned};
    std::uint32_t owner{0};  ///< Unless unassigned.
    std::uint64_t version{0};
    std::uint32_t phase{0};   ///< Of the last commit, as step and serial.
    std::uint64_t step{0};    ///< Completed in the phase.
    std::uint32_t serial{0};  ///< Completed over all phases.
    std::string wait;         ///< What it waits for, as a sentence; empty if it does not.
    bool kept{true};          ///< Its state is on this node: here, or on its way to another one that has not got it.
    bool here{true};          ///< It is executed on this node.
};

/// How the port of a node reaches another one.
struct RouteView {
    std::uint32_t node{0};
    RouteState state{RouteState::none};
    std::uint32_t reconnects{0};
    std::uint64_t carried_frames{0};
    std::uint64_t carried_bytes{0};
    std::uint64_t withdrawn_frames{0};
    std::uint64_t kept_bytes{0};
};

struct JobView {
    std::string job_id;
    std::optional<std::uint32_t> node;  ///< In a job of several.
    std::uint32_t nodes{1};
    pid_t agent_pid{0};  ///< 0: the job has none.
    bool agent_alive{false};
    std::int64_t agent_started{0};  ///< Seconds since 1970; 0: not known.
    bool started_by_mpirun{false};
    Outcome outcome{Outcome::running};
    std::string outcome_text;
    std::uint64_t view{0};
    std::uint64_t stall_ns{0};        ///< Longer waits are told in the progress of domains.
    std::vector<MemberView> members;  ///< By slot; one that left until another one has its slot.
    std::vector<DomainView> domains;
    std::uint64_t recoveries{0};    ///< VNodes taken over from the dead.
    std::vector<RouteView> routes;  ///< To all other nodes.
};

/// How far a member is, from what the view, its own record and its process say: the view may not have noticed yet that
/// it left or died.
[[nodiscard]] MemberState member_state(MemberState in_view, Presence presence, bool process_alive) noexcept;

/// @cost O(members); one look at each process.
[[nodiscard]] std::vector<MemberView> read_members(const ControlSegment& segment, const Arena& arena,
                                                   const ProcessLook& look = look_at_process);
/// Fills in MemberView::vnodes and vnodes_of_spaces. @cost O(V)
void count_vnodes(const ControlSegment& segment, const Arena& arena, std::vector<MemberView>& members);

/// Domains and spaces, in the order in which they were made.
/// @param stall_ns  Waits longer than this are reported.
[[nodiscard]] std::vector<DomainView> read_domains(const ControlSegment& segment, const Arena& arena,
                                                   std::uint64_t stall_ns);

/// True if VNode `vnode` of domain `index` is on this node; both must exist.
[[nodiscard]] bool is_here(const ControlSegment& segment, const Arena& arena, std::uint32_t index, std::uint32_t vnode);

/// The word of VNode `vnode` of domain `index`; both must exist.
[[nodiscard]] DirectoryWord read_directory_word(const ControlSegment& segment, const Arena& arena, std::uint32_t index,
                                                std::uint32_t vnode);

/// All VNodes of the domain or space `index`, which must exist. @cost O(V)
[[nodiscard]] std::vector<VNodeView> read_vnodes(const ControlSegment& segment, const Arena& arena,
                                                 std::uint32_t index);

/// All of it but the VNodes one by one.
[[nodiscard]] JobView read_job(const ControlSegment& segment, const Arena& arena,
                               const ProcessLook& look = look_at_process);

/// The domains of `all` that are meant: the one called `name`, or all of them if it is empty.
/// @error wrong_state  There is none of that name (lists those there are), or none at all.
[[nodiscard]] tl::expected<std::vector<DomainView>, Failure> meant_domains(std::string_view name,
                                                                           const std::vector<DomainView>& all);

}  // namespace phoenix::pflight
