#include "runtime/attachment_record.hpp"

#include "base/clock.hpp"
#include "topology/topology.hpp"

#include <csignal>
#include <ctime>
#include <fmt/format.h>

namespace phoenix {

namespace {

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
            const MemberRecord& other = context.segment().member(slot);
            const auto presence = static_cast<Presence>(other.presence.load(std::memory_order_seq_cst));
            const bool here = presence == Presence::present || presence == Presence::claimed;
            if (!here || slot == context.slot || !is_alive({other.pid, other.start_time})) continue;
            if (!is_stopped(other.pid) || is_traced(other.pid)) return true;
            stopped = true;
            if (boot_time_ns() > start + patience) ProcessHandle{{other.pid, other.start_time}}.signal(SIGKILL);
        }
        const std::uint64_t too_long = start + patience + std::uint64_t{settings.kill_timeout_ms} * 1'000'000;
        if (!stopped || boot_time_ns() > too_long) return false;  // it waits for a device: the names go all the same
        const timespec pause{0, 20'000'000};
        nanosleep(&pause, nullptr);
    }
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
    for (std::uint32_t count = 0; count < member_count_max; ++count) {
        // Ports from above, so that members have the numbers from 0 on.
        const std::uint32_t slot = role == MemberRole::port ? member_count_max - 1 - count : count;
        MemberRecord& record = context.segment().member(slot);
        auto empty = static_cast<std::uint32_t>(Presence::empty);
        if (!record.presence.compare_exchange_strong(empty, static_cast<std::uint32_t>(Presence::claimed))) continue;
        const ProcessIdentity self = own_identity();
        record.pid = self.pid;
        record.start_time = self.start_time;
        record.incarnation = 1;
        record.role = static_cast<std::uint32_t>(role);
        record.order = context.header().next_order.fetch_add(1, std::memory_order_relaxed);  // only a ticket
        context.slot = slot;
        context.incarnation = record.incarnation;
        const Capabilities capabilities = discover();
        context.capabilities = capabilities.names();
        context.oversubscribed =
            context.header().expected_members.load(std::memory_order_relaxed) > capabilities.cores;  // a hint only
        record.generation.store(context.failed_members(), std::memory_order_relaxed);  // executes nothing older
        // Whoever sees `present` sees the identity above.
        record.presence.store(static_cast<std::uint32_t>(Presence::present), std::memory_order_release);
        ring_services(context.segment());
        return context;
    }
    return tl::unexpected(Failure{
        Errc::refused, fmt::format("The member table is full: a job has at most {} members on a node over its life.",
                                   member_count_max)});
}

void leave_job(MemberContext& context) noexcept {
    context.record().presence.store(static_cast<std::uint32_t>(Presence::leaving), std::memory_order_seq_cst);
    ring_services(context.segment());
    const ControlHeader& header = context.header();
    const auto agent = static_cast<pid_t>(header.agent_pid.load(std::memory_order_acquire));
    if (agent != 0 && is_alive({agent, header.agent_start_time})) return;
    if (others_will_clean_up(context)) return;
    // Two that leave at once may both come here; removing a name twice is harmless.
    ControlSegment::remove(context.segment().job_id());
}

}  // namespace phoenix
