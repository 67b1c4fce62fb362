#include "runtime/attachment_record.hpp"

#include "base/clock.hpp"
#include "memory/member_table.hpp"
#include "memory/occupancy.hpp"
#include "runtime/retirement.hpp"
#include "topology/topology.hpp"

#include <csignal>
#include <cstdio>
#include <ctime>
#include <fmt/format.h>
#include <unistd.h>

namespace phoenix {

namespace {

constexpr std::uint64_t slot_wait_ns = 30'000'000'000;

// Without a launcher the last member to leave removes what the job has in /dev/shm. One that is stopped will not:
// nobody is left who would notice, so it is killed as a hung one.
bool others_will_clean_up(const MemberContext& context) noexcept {
    const Settings& settings = context.settings;
    const std::uint64_t patience =
        std::uint64_t{settings.heartbeat_period_ms} * settings.heartbeat_misses_max * 1'000'000;
    const std::uint64_t start = boot_time_ns();
    for (;;) {
        bool stopped = false;
        for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
            const MemberIdentity other = identity_of(context.segment().member(slot));
            const bool here = other.presence == Presence::present || other.presence == Presence::claimed;
            if (!here || slot == context.slot || !other.alive()) continue;
            if (!is_stopped(other.process.pid) || is_traced(other.process.pid)) return true;
            stopped = true;
            if (boot_time_ns() > start + patience) ProcessHandle{other.process}.signal(SIGKILL);
        }
        const std::uint64_t too_long = start + patience + std::uint64_t{settings.kill_timeout_ms} * 1'000'000;
        if (!stopped || boot_time_ns() > too_long) return false;  // it waits for a device: the names go all the same
        const timespec pause{0, 20'000'000};
        nanosleep(&pause, nullptr);
    }
}

// Slots of those that have retired come back once the others are through with them.
bool somebody_retires(const ControlSegment& segment) noexcept {
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberRecord& record = segment.member(slot);
        if (identity_of(record).presence == Presence::leaving && record.drained.load(std::memory_order_acquire) != 0)
            return true;
    }
    return false;
}

std::optional<ClaimedSlot> claim_slot_in_time(const MemberContext& context, MemberRole role) noexcept {
    const std::uint64_t deadline = boot_time_ns() + slot_wait_ns;
    for (;;) {
        if (const auto claimed = claim_slot(context.segment(), role)) return claimed;
        if (!somebody_retires(context.segment()) || boot_time_ns() > deadline) return std::nullopt;
        const timespec pause{0, 5'000'000};
        nanosleep(&pause, nullptr);
    }
}

Failure table_is_full(const ControlSegment& segment) {
    std::uint32_t living = 0;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) living += identity_of(segment.member(slot)).alive();
    return {Errc::refused,
            fmt::format("The member table of job '{}' is full: {} members live, and slots of members that died are not "
                        "used again (a job has {} slots); wait until one retires, or restart the job from a "
                        "checkpoint.",
                        segment.job_id(), living, member_count_max)};
}

}  // namespace

tl::expected<MemberContext, Failure> register_member(MemberRole role) {
    auto access = attach_or_found();
    if (!access) return tl::unexpected(std::move(access.error()));
    MemberContext context;
    context.access = std::move(*access);
    auto settings = load_settings(context.segment());
    if (!settings) return tl::unexpected(std::move(settings.error()));
    context.settings = std::move(*settings);
    const auto claimed = claim_slot_in_time(context, role);
    if (!claimed) return tl::unexpected(table_is_full(context.segment()));
    context.slot = claimed->slot;
    context.incarnation = claimed->incarnation;
    if (role == MemberRole::executes && is_over(context.segment())) {
        // Too late: other nodes rely on it that nobody is here. As one that was asked to retire before it had done
        // anything.
        context.record().drained.store(1, std::memory_order_relaxed);  // published by announce()
        leave_job(context);
        std::fflush(nullptr);
        _exit(0);
    }
    const Capabilities capabilities = discover();
    context.capabilities = capabilities.names();
    context.oversubscribed =
        context.header().expected_members.load(std::memory_order_relaxed) > capabilities.cores;  // a hint only
    // Published by announce(), both. It executes nothing older.
    context.record().numa.store(capabilities.numa_node ? *capabilities.numa_node + 1 : 0, std::memory_order_relaxed);
    context.record().generation.store(context.failed_members(), std::memory_order_relaxed);
    // Whoever sees it present may send the signal. Ports have no work to hand over.
    if (role == MemberRole::executes) retire_on_sigterm(context);
    announce(context.record(), Presence::present);
    ring_services(context.segment());
    return context;
}

void leave_job(MemberContext& context) noexcept {
    announce(context.record(), Presence::leaving);
    ring_services(context.segment());
    const ControlHeader& header = context.header();
    const auto agent = static_cast<pid_t>(header.agent_pid.load(std::memory_order_acquire));
    if (agent != 0 && is_alive({agent, header.agent_start_time})) return;
    if (others_will_clean_up(context)) return;
    // Two that leave at once may both come here; removing a name twice is harmless.
    ControlSegment::remove(context.segment().job_id());
}

}  // namespace phoenix
