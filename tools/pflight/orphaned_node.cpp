#include "pflight/orphaned_node.hpp"

#include "base/clock.hpp"
#include "runtime/requests.hpp"

#include <algorithm>
#include <csignal>

namespace phoenix::pflight {

namespace {

constexpr std::uint64_t orphans_polite_ns = 2'000'000'000;   // from SIGTERM to SIGKILL
constexpr std::uint64_t port_of_orphans_ns = 1'000'000'000;  // for the port to end after all nodes have

}  // namespace

OrphanedNode::OrphanedNode(ControlSegment segment, std::uint32_t node, const std::vector<ProcessIdentity>& members,
                           const std::vector<ProcessIdentity>& ports)
    : segment_(std::move(segment)), node_(node), processes_(segment_) {
    // Those that are gone have been reaped by nobody we know: what they were is in their records.
    for (const ProcessIdentity& member : members)
        if (is_alive(member)) processes_.add(member.pid, false);
    for (const ProcessIdentity& port : ports)
        if (is_alive(port)) ports_.emplace_back(port);
}

std::optional<Verdict> OrphanedNode::look(const std::optional<LastCheckpoint>& checkpoint) {
    processes_.look();
    (void)processes_.collect_ended();
    const std::uint64_t now = boot_time_ns();
    if (asked_ns_ != 0 && (hurry_ || now > asked_ns_ + orphans_polite_ns)) {
        processes_.signal_all(SIGKILL);
        signal_ports(SIGKILL);
    }
    if (ended_ || processes_.living() != 0) return std::nullopt;
    ended_ = true;
    Verdict verdict = verdict_of(processes_.all(), checkpoint, node_);
    if (segment_.outcome() == Outcome::running && verdict.deserted) return verdict;
    if (segment_.outcome() == Outcome::running) {
        segment_.decide_outcome(verdict.outcome, verdict.code, verdict.sentence);
        ring_members(segment_);  // the port waits for it
        return verdict;
    }
    const std::string text = segment_.outcome_text();
    if (segment_.outcome() != Outcome::completed)
        return Verdict{segment_.outcome(), static_cast<Errc>(segment_.header().outcome_code),
                       segment_.header().outcome_shown.exchange(1) == 0 ? text : std::string{}, 1};
    return verdict;
}

void OrphanedNode::end(const EndOrder& order) {
    hurry_ = hurry_ || order.hurry;
    if (asked_ns_ != 0) return;
    asked_ns_ = boot_time_ns();
    segment_.decide_outcome(order.outcome, order.code, order.sentence);
    processes_.look();
    processes_.signal_all(SIGTERM);
    processes_.signal_all(SIGCONT);  // a stopped one takes SIGTERM only then
    signal_ports(SIGTERM);
}

void OrphanedNode::finish() noexcept {
    if (finish_asked_ns_ == 0) finish_asked_ns_ = boot_time_ns();
}

bool OrphanedNode::gone() {
    if (!ended_) return false;
    if (port_lives()) {
        const std::uint64_t now = boot_time_ns();
        if (finish_asked_ns_ != 0 && now > finish_asked_ns_ + port_of_orphans_ns) signal_ports(SIGTERM);
        if (finish_asked_ns_ != 0 && now > finish_asked_ns_ + port_of_orphans_ns + orphans_polite_ns)
            signal_ports(SIGKILL);
        return false;
    }
    // Whoever was last has removed it in most cases; a port that was killed has not.
    ControlSegment::remove(segment_.job_id());
    return true;
}

bool OrphanedNode::port_lives() const noexcept {
    return std::any_of(ports_.begin(), ports_.end(), [](const ProcessHandle& port) { return !port.dead(); });
}

void OrphanedNode::signal_ports(int number) const noexcept {
    for (const ProcessHandle& port : ports_) port.signal(number);
}

}  // namespace phoenix::pflight
