#include "runtime/attachment_record.hpp"

#include "topology/topology.hpp"

#include <fmt/format.h>

namespace phoenix {

tl::expected<MemberContext, Failure> register_member() {
    auto access = attach_or_found();
    if (!access) return tl::unexpected(std::move(access.error()));
    MemberContext context;
    context.access = std::move(*access);
    auto settings = load_settings(context.segment());
    if (!settings) return tl::unexpected(std::move(settings.error()));
    context.settings = std::move(*settings);
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        MemberRecord& record = context.segment().member(slot);
        auto empty = static_cast<std::uint32_t>(Presence::empty);
        if (!record.presence.compare_exchange_strong(empty, static_cast<std::uint32_t>(Presence::claimed))) continue;
        const ProcessIdentity self = own_identity();
        record.pid = self.pid;
        record.start_time = self.start_time;
        record.incarnation = 1;
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
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberRecord& other = context.segment().member(slot);
        const auto presence = static_cast<Presence>(other.presence.load(std::memory_order_seq_cst));
        if ((presence == Presence::present || presence == Presence::claimed) && is_alive({other.pid, other.start_time}))
            return;
    }
    // Two that leave at once may both come here; removing a name twice is harmless.
    ControlSegment::remove(context.segment().job_id());
}

}  // namespace phoenix
