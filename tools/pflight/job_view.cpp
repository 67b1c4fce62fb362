#include "pflight/job_view.hpp"

#include "base/clock.hpp"
#include "control/observation.hpp"
#include "membership/placement_rule.hpp"
#include "memory/member_table.hpp"
#include "memory/settings.hpp"
#include "pflight/members.hpp"
#include "runtime/deadlock.hpp"
#include "runtime/member_context.hpp"

#include <array>
#include <ctime>
#include <fmt/format.h>
#include <unistd.h>

namespace phoenix::pflight {

namespace {

const DomainHeader* domain_header(const ControlSegment& segment, const Arena& arena, std::uint32_t index) {
    if (index >= domain_count_max) return nullptr;
    const std::uint64_t offset = segment.header().domains[index].load(std::memory_order_acquire);
    return offset == 0 ? nullptr : &arena.object<DomainHeader>(offset);
}

DirectoryWord directory_word(const Arena& arena, const DomainHeader& domain, std::uint32_t vnode) {
    return {arena.object<AtomicDirectoryWord>(domain.directory_offset + std::uint64_t{vnode} * 8)
                .load(std::memory_order_acquire)};
}

LocationWord location_word(const Arena& arena, const DomainHeader& domain, std::uint32_t vnode) {
    if (domain.locations_offset == 0) return LocationWord::make({}, LocationState::here, 0);
    return {arena.object<AtomicLocationWord>(domain.locations_offset + std::uint64_t{vnode} * 8)
                .load(std::memory_order_acquire)};
}

std::optional<Execution> execution_of(const ControlSegment& segment, const Arena& arena, std::uint64_t word) {
    if (word == 0) return std::nullopt;
    const DomainHeader* domain = domain_header(segment, arena, static_cast<std::uint32_t>(word >> 56) - 1);
    return Execution{domain == nullptr ? "?" : domain->name.data(), static_cast<std::uint32_t>(word >> 32) & 0xFFFFFF,
                     word & 0xFFFFFFFF};
}

// Start times of processes count clock ticks since boot.
std::int64_t wall_time_of(std::uint64_t start_time) noexcept {
    const auto ticks = static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
    const auto age_s =
        static_cast<std::int64_t>(boot_time_ns() / 1'000'000'000) - static_cast<std::int64_t>(start_time / ticks);
    return std::time(nullptr) - age_s;
}

bool runs(char process) noexcept { return process != 'X' && process != 'Z'; }

}  // namespace

char look_at_process(ProcessIdentity identity) { return is_alive(identity) ? process_state(identity.pid) : 'X'; }

MemberState member_state(MemberState in_view, Presence presence, bool process_alive) noexcept {
    if (in_view == MemberState::retired || in_view == MemberState::failed) return in_view;
    if (presence == Presence::leaving) return MemberState::retired;
    if (!process_alive) return MemberState::failed;
    return in_view == MemberState::empty ? MemberState::joining : in_view;
}

std::vector<MemberView> read_members(const ControlSegment& segment, const Arena& arena, const ProcessLook& look) {
    std::vector<MemberView> members;
    const View view = read_view(segment);
    LivenessTable liveness{};
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberRecord& record = segment.member(slot);
        const MemberIdentity who = identity_of(record);
        const MemberEntry& entry = view.members[slot];
        // The last one in a slot is shown as long as nobody else has it.
        const bool was_here = who.presence == Presence::empty && who.incarnation == entry.incarnation.value &&
                              entry.state == MemberState::retired;
        if (!who.attached() && !was_here) continue;
        MemberView member;
        member.slot = slot;
        member.port = who.role == MemberRole::port;
        if (member.port) liveness[slot] = Liveness::dead;  // it coordinates nothing
        member.pid = who.process.pid;
        member.process = was_here ? 'X' : look(who.process);
        member.incarnation = who.incarnation;
        // A view that has not noticed the newcomer yet means its predecessor.
        const bool meant = entry.incarnation.value == who.incarnation;
        member.state = member_state(meant ? entry.state : MemberState::empty,
                                    was_here ? Presence::leaving : who.presence, runs(member.process));
        member.seniority = meant ? entry.order : 0;
        // All of these are for people to read: nothing depends on their order.
        member.steps = record.steps.load(std::memory_order_relaxed);
        member.executing = execution_of(segment, arena, record.executing.load(std::memory_order_relaxed));
        member.waiting = record.waiting.load(std::memory_order_relaxed) != 0;
        member.heartbeat = record.heartbeat.load(std::memory_order_relaxed);
        member.recoveries = record.recoveries.load(std::memory_order_relaxed);
        const RetireWord wish = retire_word(record);
        member.wish = wish.is_of(who.incarnation) ? wish.wish() : RetireWish::none;
        member.drained = record.drained.load(std::memory_order_acquire) != 0;
        if (member.state == MemberState::failed || member.state == MemberState::retired) {
            liveness[slot] = Liveness::dead;
            member.executing.reset();  // what it ran last
            member.waiting = false;
        }
        members.push_back(std::move(member));
    }
    if (const auto coordinator = coordinator_of(view, liveness))
        for (MemberView& member : members) member.coordinator = member.slot == coordinator->value;
    return members;
}

void count_vnodes(const ControlSegment& segment, const Arena& arena, std::vector<MemberView>& members) {
    std::array<std::uint64_t, member_count_max> owned{};
    std::array<std::uint64_t, member_count_max> owned_of_spaces{};
    for (std::uint32_t index = 0; index < domain_count_max; ++index) {
        const DomainHeader* domain = domain_header(segment, arena, index);
        for (std::uint32_t v = 0; domain != nullptr && v < domain->vnodes; ++v) {
            const DirectoryWord word = directory_word(arena, *domain, v);
            if (!word.assigned() || word.owner().value >= member_count_max) continue;
            ++owned[word.owner().value];
            if (domain->kind == static_cast<std::uint32_t>(DomainKind::space)) ++owned_of_spaces[word.owner().value];
        }
    }
    for (MemberView& member : members) {
        member.vnodes = owned[member.slot];
        member.vnodes_of_spaces = owned_of_spaces[member.slot];
    }
}

std::vector<DomainView> read_domains(const ControlSegment& segment, const Arena& arena, std::uint64_t stall_ns) {
    std::vector<DomainView> domains;
    for (std::uint32_t index = 0; index < domain_count_max; ++index) {
        const DomainHeader* header = domain_header(segment, arena, index);
        if (header == nullptr) continue;
        DomainView domain;
        domain.index = index;
        domain.name = header->name.data();
        domain.kind = static_cast<DomainKind>(header->kind);
        domain.vnodes = header->vnodes;
        if (domain.kind == DomainKind::domain) domain.placement = text_of(PlacementRule::of_word(header->placement));
        if (domain.kind == DomainKind::domain) domain.progress = read_domain_progress(arena, *header, stall_ns);
        domains.push_back(std::move(domain));
    }
    return domains;
}

bool is_here(const ControlSegment& segment, const Arena& arena, std::uint32_t index, std::uint32_t vnode) {
    return location_word(arena, *domain_header(segment, arena, index), vnode).here();
}

DirectoryWord read_directory_word(const ControlSegment& segment, const Arena& arena, std::uint32_t index,
                                  std::uint32_t vnode) {
    return directory_word(arena, *domain_header(segment, arena, index), vnode);
}

std::vector<VNodeView> read_vnodes(const ControlSegment& segment, const Arena& arena, std::uint32_t index) {
    std::vector<VNodeView> vnodes;
    const DomainHeader& domain = *domain_header(segment, arena, index);
    vnodes.reserve(domain.vnodes);
    for (std::uint32_t v = 0; v < domain.vnodes; ++v) {
        const DirectoryWord word = directory_word(arena, domain, v);
        VNodeView vnode;
        vnode.vnode = v;
        vnode.state = word.state();
        vnode.owner = word.owner().value;
        vnode.version = word.version();
        const LocationWord location = location_word(arena, domain, v);
        vnode.here = location.here();
        vnode.kept = location.state() != LocationState::away;
        if (domain.kind == static_cast<std::uint32_t>(DomainKind::domain)) {
            auto& record = arena.object<VNodeRecord>(domain.records_offset + std::uint64_t{v} * domain.record_stride);
            const CommitSlot commit = commit_of(record, domain);
            vnode.phase = commit.phase;
            vnode.step = commit.step;
            vnode.serial = commit.serial;
            vnode.wait = describe_wait(record, v);
        }
        vnodes.push_back(std::move(vnode));
    }
    return vnodes;
}

JobView read_job(const ControlSegment& segment, const Arena& arena, const ProcessLook& look) {
    const ControlHeader& header = segment.header();
    const Settings settings = load_settings(segment).value_or(Settings{});
    JobView job;
    job.job_id = job_of_segment(header.job_id.data());
    job.nodes = header.node_count;
    for (std::uint32_t node = 0; node < header.node_count; ++node) {
        if (node == header.node_id) continue;
        const RouteRecord& route = header.routes[node];
        job.routes.push_back({node, route.state.load(), route.reconnects.load(), route.carried_frames.load(),
                              route.carried_bytes.load(), route.withdrawn_frames.load(), route.kept_bytes.load()});
    }
    if (header.node_count > 1) job.node = header.node_id;
    job.agent_pid = static_cast<pid_t>(header.agent_pid.load(std::memory_order_acquire));
    job.agent_alive = job.agent_pid != 0 && runs(look({job.agent_pid, header.agent_start_time}));
    if (job.agent_pid != 0) job.agent_started = wall_time_of(header.agent_start_time);
    job.started_by_mpirun = settings.started_by_mpirun;
    job.outcome = segment.outcome();
    job.outcome_text = segment.outcome_text();
    job.view = ViewWord{header.view_current.load(std::memory_order_acquire)}.number().value;
    job.members = read_members(segment, arena, look);
    count_vnodes(segment, arena, job.members);
    job.stall_ns = std::uint64_t{settings.stall_report_ms} * 1'000'000;
    job.domains = read_domains(segment, arena, job.stall_ns);
    job.recoveries = header.past_recoveries.load(std::memory_order_relaxed);
    for (const MemberView& member : job.members) job.recoveries += member.recoveries;
    return job;
}

tl::expected<std::vector<DomainView>, Failure> meant_domains(std::string_view name,
                                                             const std::vector<DomainView>& all) {
    if (all.empty())
        return tl::unexpected(
            Failure{Errc::wrong_state, "The job has no domain yet: its members are just starting; try again."});
    if (name.empty()) return all;
    std::string known;
    for (const DomainView& domain : all) {
        if (domain.name == name) return std::vector<DomainView>{domain};
        known += fmt::format("{}'{}'", known.empty() ? "" : ", ", domain.name);
    }
    return tl::unexpected(
        Failure{Errc::wrong_state, fmt::format("The job has no domain '{}'; it has {}.", name, known)});
}

}  // namespace phoenix::pflight
