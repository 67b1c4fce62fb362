#include "pflight/timeline.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace phoenix::pflight {

namespace {

double milliseconds(std::uint64_t from_ns, std::uint64_t to_ns) {
    return to_ns > from_ns ? static_cast<double>(to_ns - from_ns) * 1e-6 : 0.0;
}

std::string count_of(std::uint64_t count, std::string_view what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string after_death(const Recovery& recovery, std::uint64_t time_ns) {
    return fmt::format("  (+{:.2f} ms)", milliseconds(recovery.died_ns, time_ns));
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

Recovery* Timeline::known_recovery(std::uint32_t slot) {
    const auto found = open_.find(slot);
    return found == open_.end() ? nullptr : &recoveries_[found->second];
}

void Timeline::process_ended(std::uint32_t slot, std::uint64_t time_ns, const std::string& how) {
    const bool told = open_.count(slot) != 0;
    open_recovery(slot, time_ns);
    if (!told) say(time_ns, fmt::format("member {} died ({})", slot, how));
}

void Timeline::respawned(std::uint64_t time_ns, int pid) {
    say(time_ns, fmt::format("process {} started as a replacement", pid));
}

void Timeline::grown(std::uint64_t time_ns, int pid) { say(time_ns, fmt::format("process {} started to join", pid)); }

void Timeline::take_fault(const Event& event, const ControlSegment& segment) {
    const FaultEntry& fault = segment.faults()[event.detail % fault_count_max];
    const auto tell = [&](const std::string& text) { say(event.time_ns, text + " as planned"); };
    switch (static_cast<FaultKind>(fault.kind)) {
        case FaultKind::none: return;
        case FaultKind::stop: return tell(fmt::format("member {} is stopped", event.subject));
        case FaultKind::join: return tell(fmt::format("{} more asked for", count_of(fault.count, "member")));
        case FaultKind::retire: return tell(fmt::format("member {} is to retire", event.subject));
        case FaultKind::move: return tell(fmt::format("member {} gives a VNode away", event.subject));
        case FaultKind::kill_port: return tell("the port is killed");
        case FaultKind::kill: break;
    }
    tell(fmt::format("member {} is killed", event.subject));
    open_recovery(event.subject, event.time_ns);
}

void Timeline::take_adoption(const Event& event) {
    std::string since;
    if (Recovery* recovery = known_recovery(event.peer)) {
        if (recovery->adopted_ns == 0) recovery->adopted_ns = event.time_ns;
        recovery->adopted_vnodes += event.detail;
        since = after_death(*recovery, event.time_ns);
    }
    say(event.time_ns, fmt::format("member {} took over {} of member {}{}", event.subject,
                                   count_of(event.detail, "VNode"), event.peer, since));
}

void Timeline::take_resumption(const Event& event) {
    std::string since;
    if (Recovery* recovery = known_recovery(event.peer)) {
        since = after_death(*recovery, event.time_ns);
        if (recovery->resumed_ns == 0) {
            recovery->resumed_ns = event.time_ns;
            since += "  <- time from death to recovery";
        }
    }
    say(event.time_ns, fmt::format("member {} repeats step {} of VNode {} of member {}{}", event.subject, event.extra,
                                   event.detail, event.peer, since));
}

void Timeline::take_membership(const Event& event) {
    const auto tell = [&](const std::string& text) { say(event.time_ns, text); };
    switch (event.kind) {
        case EventKind::member_joined:
            open_.erase(event.subject);
            return tell(fmt::format("member {} attached (process {})", event.subject, event.detail));
        case EventKind::member_active:
            return tell(fmt::format("member {} active (view {})", event.subject, event.detail));
        case EventKind::member_hung:
            return tell(fmt::format("member {} gives no sign of life and is killed", event.subject));
        case EventKind::member_draining:
            return tell(fmt::format("member {} drains (view {})", event.subject, event.detail));
        case EventKind::drain_timed_out:
            return tell(fmt::format("member {} is not empty in time and is killed", event.subject));
        case EventKind::moved:
            return tell(fmt::format("member {} took {} of member {}", event.subject, count_of(event.detail, "VNode"),
                                    event.peer));
        case EventKind::member_retired:
            return tell(fmt::format("member {} left (view {})", event.subject, event.detail));
        case EventKind::member_failed: {
            Recovery& recovery = open_recovery(event.subject, event.time_ns);
            recovery.failed_ns = event.time_ns;
            return tell(fmt::format("view {} without member {}{}", event.detail, event.subject,
                                    after_death(recovery, event.time_ns)));
        }
        case EventKind::death_seen: {
            const Recovery& recovery = open_recovery(event.subject, event.time_ns);
            return tell(fmt::format("death of member {} seen{}", event.subject, after_death(recovery, event.time_ns)));
        }
        case EventKind::adopted: return take_adoption(event);
        case EventKind::resumed: return take_resumption(event);
        default: return;
    }
}

void Timeline::take(const Event& event, const ControlSegment& segment) {
    const auto tell = [&](const std::string& text) { say(event.time_ns, text); };
    switch (event.kind) {
        case EventKind::fault_fired: return take_fault(event, segment);
        case EventKind::phase_begun:
            return tell(fmt::format("domain {}: phase {} begins", event.subject, event.detail));
        case EventKind::phase_ended:
            return tell(fmt::format("domain {}: phase {} is finished", event.subject, event.detail));
        case EventKind::checkpoint_written:
            last_checkpoint_ = event.detail;
            return tell(fmt::format("checkpoint of step {} written", event.detail));
        case EventKind::rolled_back:
            return tell(fmt::format("domain {}: back to step {}", event.subject, event.detail));
        case EventKind::restored:
            return tell(fmt::format("domain {}: restored from the checkpoint of step {}", event.subject, event.detail));
        case EventKind::checkpoint_skipped:
            return tell(fmt::format("{} passed over", count_of(event.detail, "damaged checkpoint")));
        default: return take_membership(event);
    }
}

std::string Timeline::summary() const {
    if (recoveries_.empty()) return {};
    std::uint64_t vnodes = 0;
    std::string times;
    for (const Recovery& recovery : recoveries_) {
        vnodes += recovery.adopted_vnodes;
        if (recovery.resumed_ns != 0)
            times +=
                fmt::format("{}{:.2f}", times.empty() ? "" : ", ", milliseconds(recovery.died_ns, recovery.resumed_ns));
    }
    std::string text =
        fmt::format("{} lost, {} recovered", count_of(recoveries_.size(), "member"), count_of(vnodes, "VNode"));
    if (!times.empty()) text += fmt::format("; from death to the first repeated step: {} ms", times);
    return text;
}

}  // namespace phoenix::pflight
