#include "pflight/launcher_link.hpp"

#include "base/clock.hpp"
#include "memory/member_table.hpp"
#include "memory/occupancy.hpp"
#include "pflight/command.hpp"
#include "runtime/requests.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace phoenix::pflight {

namespace {

constexpr std::uint64_t report_period_ns = 200'000'000;
constexpr std::size_t backlog_max = 65536;  // bytes beyond which progress is left out: the launcher does not read

}  // namespace

LauncherLink::LauncherLink(LineChannel& channel, const StartOrder& order, Agent& agent, const std::string& listen,
                           const OutputRelay* relay)
    : channel_(channel),
      agent_(agent),
      relay_(relay),
      node_(order.node),
      stall_ns_(std::uint64_t{order.settings.stall_report_ms} * 1'000'000) {
    report(StartedReport{boot_time_ns(), agent.socket_name(), listen});
}

void LauncherLink::report(const Report& report) { channel_.send(line_of(report)); }

bool LauncherLink::backlogged() const noexcept { return channel_.unsent() > backlog_max; }

std::vector<int> LauncherLink::descriptors() const {
    std::vector<int> waits;
    if (channel_.descriptor() >= 0) waits.push_back(channel_.descriptor());
    // While the launcher does not read, members wait as at any full pipe.
    if (relay_ != nullptr && !backlogged()) waits.push_back(relay_->descriptor());
    return waits;
}

// If the launcher is gone nobody will ever read it, and members must not wait for that.
void LauncherLink::pass_output_on() {
    if (relay_ == nullptr) return;
    while (!backlogged()) {
        std::string bytes = relay_->take();
        if (bytes.empty()) return;
        if (!channel_.closed()) report(OutputReport{std::move(bytes)});
    }
}

void LauncherLink::conclude() {
    // What is still in the pipe has no later.
    while (relay_ != nullptr) {
        std::string bytes = relay_->take();
        if (bytes.empty()) break;
        report(OutputReport{std::move(bytes)});
    }
    OverReport over;
    const ControlSegment& segment = agent_.segment();
    for (std::uint32_t node = 0; node < segment.header().node_count; ++node)
        if (is_over(segment, NodeId{node})) over.nodes.push_back(node);
    report(over);
}

// Before anything else is said of that slot.
void LauncherLink::tell_of_port(std::uint32_t slot) {
    if (slot >= member_count_max || ports_.count(slot) != 0) return;
    const MemberIdentity who = identity_of(agent_.segment().member(slot));
    if (!who.attached() || who.role != MemberRole::port) return;
    ports_.insert(slot);
    report(PortReport{slot, 0});
}

void LauncherLink::happened(const Event& event) {
    if (event.kind == EventKind::checkpoint_written) last_checkpoint_ = event.detail;
    EventReport told{event, {.kind = FaultKind::none}};
    if (event.kind == EventKind::fault_fired) {
        const FaultEntry& fault = agent_.segment().faults()[event.detail % fault_count_max];
        told.fault.kind = static_cast<FaultKind>(fault.kind);
        told.fault.count = fault.count;
    }
    tell_of_port(event.subject);
    tell_of_port(event.peer);
    report(told);
}

void LauncherLink::process_started(pid_t pid, ProcessPurpose purpose) {
    report(ProcessReport{pid, purpose, boot_time_ns()});
}

void LauncherLink::process_ended(std::uint32_t slot, std::uint64_t time_ns, const std::string& how) {
    tell_of_port(slot);
    report(DiedReport{slot, time_ns, how});
}

void LauncherLink::say(const std::string& sentence) {
    if (channel_.closed())
        (void)complain(fmt::format("node {}: {}", node_, sentence), refused);
    else
        report(SayReport{sentence});
}

void LauncherLink::look(std::uint32_t living_members) {
    channel_.flush();
    pass_output_on();
    const std::uint64_t now = boot_time_ns();
    if (channel_.closed() || now < last_progress_ns_ + report_period_ns || backlogged()) return;
    last_progress_ns_ = now;
    report(ProgressReport{sample_progress(agent_.segment(), agent_.arena(), stall_ns_, living_members)});
}

void LauncherLink::members_ended(const Verdict& verdict) {
    pass_output_on();
    report(EndedReport{verdict});
    if (channel_.closed() && !verdict.sentence.empty()) say(verdict.sentence);
}

void LauncherLink::port_listens(std::uint32_t slot, std::uint64_t address) {
    ports_.insert(slot);
    report(PortReport{slot, address});
}

void LauncherLink::store(const AddressesOrder& addresses) {
    ControlHeader& header = agent_.segment().header();
    const std::size_t count = std::min<std::size_t>(addresses.of_nodes.size(), header.node_count);
    for (std::uint32_t node = 0; node < count; ++node)
        // Our own port has stored its address itself. Pairs with the port's load.
        if (node != node_) header.port_addresses[node].store(addresses.of_nodes[node], std::memory_order_release);
    ring_members(agent_.segment());
}

Orders LauncherLink::take_orders() {
    Orders orders;
    channel_.flush();
    while (const auto line = channel_.take_line()) {
        auto order = parse_order(*line);
        if (!order) {
            say(order.error().sentence);
        } else if (auto* end = std::get_if<EndOrder>(&*order)) {
            orders.end = std::move(*end);
        } else if (std::holds_alternative<FinishOrder>(*order)) {
            orders.finish = true;
        } else if (std::holds_alternative<OwnPortOrder>(*order)) {
            orders.own_port = true;
        } else if (const auto* addresses = std::get_if<AddressesOrder>(&*order)) {
            store(*addresses);
        }
    }
    return orders;
}

}  // namespace phoenix::pflight
