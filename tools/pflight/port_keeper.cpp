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

namespace {

// Far longer than mpirun takes to start something, or to say that it cannot.
constexpr std::uint64_t await_ns = 30'000'000'000;

}  // namespace

PortKeeper::PortKeeper(Agent& agent, Audience& audience, int output, std::string listen, bool awaits)
    : agent_(agent),
      audience_(audience),
      output_(output),
      listen_(std::move(listen)),
      await_until_ns_(awaits ? ~std::uint64_t{0} : 0),
      killed_(fault_count_max, false) {}

tl::expected<void, Failure> PortKeeper::start() {
    if (await_until_ns_ == 0) return start_own();
    await_until_ns_ = boot_time_ns() + await_ns;
    return {};
}

// It is no child of ours.
bool PortKeeper::adopt() {
    const std::uint32_t port = agent_.segment().header().port.load(std::memory_order_acquire);
    if (port == 0) return false;
    const MemberIdentity who = identity_of(agent_.segment().member(port - 1));
    if (!who.attached() || !who.alive() || who.process == identity_) return false;
    has_started(who.process);
    return true;
}

tl::expected<void, Failure> PortKeeper::start_own() {
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
    has_started({*pid, start_time_of(*pid)});
    return {};
}

void PortKeeper::has_started(ProcessIdentity identity) {
    identity_ = identity;
    handle_ = ProcessHandle{identity_};
    heartbeat_seen_ns_ = boot_time_ns();
    record_event(agent_.segment(), EventKind::port_started, agent_.segment().header().node_id,
                 static_cast<std::uint64_t>(identity.pid), 0, started_);
    ++started_;
    audience_.process_started(identity.pid, ProcessPurpose::port);
}

bool PortKeeper::has_lost_one() const noexcept {
    for (std::uint32_t slot = member_count_max; slot-- > 0;) {
        const MemberRecord& record = agent_.segment().member(slot);
        const MemberIdentity who = identity_of(record);
        const bool port = record.role.load(std::memory_order_relaxed) == static_cast<std::uint32_t>(MemberRole::port);
        if (port && who.attached() && !who.alive()) return true;
    }
    return false;
}

bool PortKeeper::left_in_order() const noexcept {
    for (std::uint32_t slot = member_count_max; slot-- > 0;) {
        const MemberIdentity who = identity_of(agent_.segment().member(slot));
        if (who.process == identity_ && who.presence == Presence::leaving) return true;
    }
    return false;
}

std::optional<EndOrder> PortKeeper::look(bool needed) {
    if (await_until_ns_ != 0) {
        const bool adopted = adopt();
        if (!adopted && (!needed || (boot_time_ns() < await_until_ns_ && !has_lost_one()))) return std::nullopt;
        await_until_ns_ = 0;
        if (auto own = adopted ? tl::expected<void, Failure>{} : start_own(); !own)
            return EndOrder{Outcome::failed, own.error().code, own.error().sentence, false};
    }
    if (!handle_.valid()) return std::nullopt;
    if (!handle_.dead()) {
        tell_address();
        kill_as_planned();
        return std::nullopt;
    }
    int status = 0;
    const bool known = waitpid(identity_.pid, &status, WNOHANG) == identity_.pid;
    const bool in_order = known ? WIFEXITED(status) && WEXITSTATUS(status) == 0 : left_in_order();
    const std::string how = known && WIFEXITED(status) ? fmt::format("exit status {}", WEXITSTATUS(status))
                                                       : signal_name(known ? WTERMSIG(status) : SIGKILL);
    if (const MemberRecord* mine = record(); mine != nullptr && needed && !in_order) {
        for (std::uint32_t slot = 0; slot < member_count_max; ++slot)
            if (&agent_.segment().member(slot) == mine) audience_.process_ended(slot, boot_time_ns(), how);
    }
    handle_ = ProcessHandle{};
    // One that mpirun has started after all was there first.
    if (needed && adopt()) return std::nullopt;
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
    if (auto again = start_own(); !again)
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
