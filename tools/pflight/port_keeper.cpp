#include "pflight/port_keeper.hpp"

#include "base/clock.hpp"
#include "memory/member_table.hpp"
#include "pflight/launcher.hpp"
#include "pflight/program.hpp"
#include "runtime/port.hpp"
#include "runtime/requests.hpp"

#include <algorithm>
#include <csignal>
#include <fmt/format.h>
#include <sys/wait.h>

namespace phoenix::pflight {

PortEnd judge_port_end(bool needed, bool exited_in_order, std::uint32_t restarts) noexcept {
    if (!needed || exited_in_order) return PortEnd::is_the_end;
    return restarts < port_restart_count_max ? PortEnd::start_anew : PortEnd::too_often;
}

PortKeeper::PortKeeper(Agent& agent, Audience& audience, int output, std::string listen)
    : agent_(agent),
      audience_(audience),
      output_(output),
      listen_(std::move(listen)),
      killed_(fault_count_max, false) {}

tl::expected<void, Failure> PortKeeper::start() {
    // Whatever the one before has stored there is of no use to anybody.
    ControlHeader& header = agent_.segment().header();
    header.port_addresses[header.node_id].store(0, std::memory_order_release);
    told_address_ = 0;
    ProgramCall call{own_program(), {"port"}, agent_.environment()};
    call.environment.emplace_back(port_address_variable, listen_);
    call.standard_output = output_;
    call.outlives_readers = true;
    const auto pid = start_process(call);
    if (!pid) return tl::unexpected(pid.error());
    identity_ = {*pid, start_time_of(*pid)};
    handle_ = ProcessHandle{identity_};
    heartbeat_seen_ns_ = boot_time_ns();
    record_event(agent_.segment(), EventKind::port_started, header.node_id, static_cast<std::uint64_t>(*pid), 0,
                 started_);
    ++started_;
    audience_.process_started(*pid, ProcessPurpose::port);
    return {};
}

std::optional<EndOrder> PortKeeper::look(bool needed) {
    if (!handle_.valid()) return std::nullopt;
    if (!handle_.dead()) {
        tell_address();
        kill_as_planned();
        return std::nullopt;
    }
    int status = 0;
    const bool known = waitpid(identity_.pid, &status, WNOHANG) == identity_.pid;
    const bool in_order = known && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    const std::string how = known && WIFEXITED(status) ? fmt::format("exit status {}", WEXITSTATUS(status))
                                                       : signal_name(known ? WTERMSIG(status) : SIGKILL);
    if (const MemberRecord* mine = record(); mine != nullptr && needed && !in_order) {
        for (std::uint32_t slot = 0; slot < member_count_max; ++slot)
            if (&agent_.segment().member(slot) == mine) audience_.process_ended(slot, boot_time_ns(), how);
    }
    handle_ = ProcessHandle{};
    switch (judge_port_end(needed, in_order, started_ - 1)) {
        case PortEnd::is_the_end: return std::nullopt;
        case PortEnd::start_anew: break;
        case PortEnd::too_often:
            return EndOrder{
                Outcome::failed, Errc::system,
                fmt::format("The port of node {} has died {} times, the last time by {}, and is not started again; see "
                            "its messages above.",
                            agent_.segment().header().node_id, started_, how),
                false};
    }
    if (auto again = start(); !again)
        return EndOrder{Outcome::failed, again.error().code, again.error().sentence, false};
    return std::nullopt;
}

void PortKeeper::tell_address() {
    const ControlHeader& header = agent_.segment().header();
    // Pairs with the port's store, after it has begun to listen.
    const std::uint64_t address = header.port_addresses[header.node_id].load(std::memory_order_acquire);
    if (address == told_address_ || address == 0) return;
    const MemberRecord* mine = record();
    if (mine == nullptr) return;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot)
        if (&agent_.segment().member(slot) == mine) audience_.port_listens(slot, address);
    told_address_ = address;
}

void PortKeeper::kill_as_planned() {
    const ControlHeader& header = agent_.segment().header();
    const std::uint32_t count = std::min(header.fault_count.load(std::memory_order_acquire), fault_count_max);
    for (std::uint32_t index = 0; index < count; ++index) {
        const FaultEntry& fault = agent_.segment().faults()[index];
        if (killed_[index] || fault.kind != static_cast<std::uint32_t>(FaultKind::kill_port) ||
            fault.fired.load(std::memory_order_acquire) == 0)
            continue;
        killed_[index] = true;
        handle_.signal(SIGKILL);
    }
}

const MemberRecord* PortKeeper::record() const noexcept {
    // From above, as ports take their slots.
    for (std::uint32_t slot = member_count_max; slot-- > 0;) {
        const MemberRecord& candidate = agent_.segment().member(slot);
        const MemberIdentity who = identity_of(candidate);
        if (who.attached() && who.process == identity_) return &candidate;
    }
    return nullptr;
}

void PortKeeper::signal(int number) const noexcept {
    if (handle_.valid()) handle_.signal(number);
}

bool PortKeeper::hangs(const Settings& settings) noexcept {
    const std::uint64_t now = boot_time_ns();
    const MemberRecord* mine = record();
    const std::uint64_t beats = mine == nullptr ? 0 : mine->heartbeat.load(std::memory_order_relaxed);  // only a sign
    if (beats != heartbeat_ || is_traced(identity_.pid)) {
        heartbeat_ = beats;
        heartbeat_seen_ns_ = now;
    }
    const std::uint64_t patience =
        mine == nullptr ? std::uint64_t{settings.start_timeout_ms} * 1'000'000
                        : std::uint64_t{settings.heartbeat_period_ms} * settings.heartbeat_misses_max * 1'000'000;
    return now > heartbeat_seen_ns_ + patience;
}

}  // namespace phoenix::pflight
