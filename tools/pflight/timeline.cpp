#include "pflight/timeline.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace phoenix::pflight {

namespace {

double milliseconds(std::uint64_t from_ns, std::uint64_t to_ns) {
    return to_ns > from_ns ? static_cast<double>(to_ns - from_ns) * 1e-6 : 0.0;
}

}  // namespace

void Timeline::say(std::uint64_t time_ns, const std::string& text) const {
    print_(fmt::format("{:10.4f} s  {}", milliseconds(start_ns_, time_ns) * 1e-3, text));
}

Recovery& Timeline::open_recovery(std::uint32_t slot, std::uint64_t time_ns) {
    const auto found = open_.find(slot);
    if (found != open_.end()) {
        Recovery& recovery = recoveries_[found->second];
        recovery.died_ns = std::min(recovery.died_ns, time_ns);
        return recovery;
    }
    open_[slot] = recoveries_.size();
    recoveries_.push_back({.slot = slot, .died_ns = time_ns});
    return recoveries_.back();
}

void Timeline::process_ended(std::uint32_t slot, std::uint64_t time_ns, const std::string& how) {
    const bool told = open_.count(slot) != 0;
    open_recovery(slot, time_ns);
    if (!told) say(time_ns, fmt::format("member {} died ({})", slot, how));
}

void Timeline::respawned(std::uint64_t time_ns, int pid) { say(time_ns, fmt::format("process {} started as a replacement", pid)); }

void Timeline::take_fault(const Event& event, const ControlSegment& segment) {
    const FaultEntry& fault = segment.faults()[event.detail % fault_count_max];
    if (fault.kind == static_cast<std::uint32_t>(FaultKind::stop)) return say(event.time_ns, fmt::format("member {} is stopped as planned", event.subject));
    say(event.time_ns, fmt::format("member {} is killed as planned", event.subject));
    open_recovery(event.subject, event.time_ns);
}

void Timeline::take_adoption(const Event& event) {
    Recovery& recovery = open_recovery(event.peer, event.time_ns);
    if (recovery.adopted_ns == 0) recovery.adopted_ns = event.time_ns;
    recovery.adopted_vnodes += event.detail;
    say(event.time_ns, fmt::format("member {} took over {} VNodes of member {}  (+{:.2f} ms)", event.subject, event.detail, event.peer,
                                   milliseconds(recovery.died_ns, event.time_ns)));
}

void Timeline::take_resumption(const Event& event) {
    Recovery& recovery = open_recovery(event.peer, event.time_ns);
    const bool first = recovery.resumed_ns == 0;
    if (first) recovery.resumed_ns = event.time_ns;
    say(event.time_ns, fmt::format("member {} repeats the first step of VNode {} of member {}  (+{:.2f} ms{})", event.subject, event.detail,
                                   event.peer, milliseconds(recovery.died_ns, event.time_ns),
                                   first ? ": time from death to recovery" : ""));
}

void Timeline::take(const Event& event, const ControlSegment& segment) {
    const auto tell = [&](std::string text) { say(event.time_ns, text); };
    switch (event.kind) {
        case EventKind::none: break;
        case EventKind::member_joined:
            open_.erase(event.subject);
            tell(fmt::format("member {} attached (process {})", event.subject, event.detail));
            break;
        case EventKind::member_active: tell(fmt::format("member {} active (view {})", event.subject, event.detail)); break;
        case EventKind::member_failed: {
            Recovery& recovery = open_recovery(event.subject, event.time_ns);
            recovery.failed_ns = event.time_ns;
            tell(fmt::format("view {} without member {}  (+{:.2f} ms)", event.detail, event.subject, milliseconds(recovery.died_ns, event.time_ns)));
            break;
        }
        case EventKind::member_hung: tell(fmt::format("member {} gives no sign of life and is killed", event.subject)); break;
        case EventKind::member_retired: tell(fmt::format("member {} left (view {})", event.subject, event.detail)); break;
        case EventKind::death_seen: {
            const Recovery& recovery = open_recovery(event.subject, event.time_ns);
            tell(fmt::format("death of member {} seen  (+{:.2f} ms)", event.subject, milliseconds(recovery.died_ns, event.time_ns)));
            break;
        }
        case EventKind::adopted: take_adoption(event); break;
        case EventKind::resumed: take_resumption(event); break;
        case EventKind::fault_fired: take_fault(event, segment); break;
        case EventKind::phase_begun: tell(fmt::format("domain {}: phase {} begins", event.subject, event.detail)); break;
        case EventKind::phase_ended: tell(fmt::format("domain {}: phase {} is finished", event.subject, event.detail)); break;
        case EventKind::checkpoint_written:
            last_checkpoint_ = event.detail;
            tell(fmt::format("checkpoint of step {} written", event.detail));
            break;
        case EventKind::long_wait: tell(fmt::format("VNode {} waits in step {}", event.subject, event.detail)); break;
        case EventKind::rolled_back: tell(fmt::format("domain {}: back to step {}", event.subject, event.detail)); break;
        case EventKind::restored: tell(fmt::format("domain {}: restored from the checkpoint of step {}", event.subject, event.detail)); break;
        case EventKind::checkpoint_skipped: tell(fmt::format("{} damaged checkpoints passed over", event.detail)); break;
    }
}

std::string Timeline::summary() const {
    if (recoveries_.empty()) return {};
    std::uint64_t vnodes = 0;
    std::string times;
    for (const Recovery& recovery : recoveries_) {
        vnodes += recovery.adopted_vnodes;
        if (recovery.resumed_ns != 0)
            times += fmt::format("{}{:.2f}", times.empty() ? "" : ", ", milliseconds(recovery.died_ns, recovery.resumed_ns));
    }
    std::string text = fmt::format("{} {} lost, {} VNodes recovered", recoveries_.size(), recoveries_.size() == 1 ? "member" : "members", vnodes);
    if (!times.empty()) text += fmt::format("; from death to the first repeated step: {} ms", times);
    return text;
}

}  // namespace phoenix::pflight
