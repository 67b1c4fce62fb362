#include "pflight/timeline.hpp"

#include "pflight/member_name.hpp"

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

std::string Timeline::name_of(std::uint32_t slot) const {
    return is_port(slot) ? name_of_port() : "member " + text_of(MemberName{node_, slot});
}

std::string Timeline::name_of_port() const { return fmt::format("port {}", node_.value_or(0)); }

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
    if (is_port(slot)) return say(time_ns, fmt::format("{} died ({})", name_of_port(), how));
    const bool told = open_.count(slot) != 0;
    open_recovery(slot, time_ns);
    if (!told) say(time_ns, fmt::format("{} died ({})", name_of(slot), how));
}

void Timeline::respawned(std::uint64_t time_ns, int pid) {
    say(time_ns, fmt::format("process {} started as a replacement", pid));
}

void Timeline::grown(std::uint64_t time_ns, int pid) { say(time_ns, fmt::format("process {} started to join", pid)); }

void Timeline::take_fault(const Event& event, const PlannedFault& fault) {
    const auto tell = [&](const std::string& text) { say(event.time_ns, text + " as planned"); };
    const std::string member = name_of(event.subject);
    switch (fault.kind) {
        case FaultKind::none: return;
        case FaultKind::stop: return tell(member + " is stopped");
        case FaultKind::join: return tell(fmt::format("{} more asked for", count_of(fault.count, "member")));
        case FaultKind::retire: return tell(member + " is to retire");
        case FaultKind::move: return tell(member + " gives a VNode away");
        case FaultKind::kill_port: return tell(name_of_port() + " is killed");
        case FaultKind::kill: break;
    }
    tell(member + " is killed");
    open_recovery(event.subject, event.time_ns);
}

void Timeline::take_adoption(const Event& event) {
    std::string since;
    if (Recovery* recovery = known_recovery(event.peer)) {
        if (recovery->adopted_ns == 0) recovery->adopted_ns = event.time_ns;
        recovery->adopted_vnodes += event.detail;
        since = after_death(*recovery, event.time_ns);
    }
    say(event.time_ns, fmt::format("{} took over {} of {}{}", name_of(event.subject), count_of(event.detail, "VNode"),
                                   name_of(event.peer), since));
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
    say(event.time_ns, fmt::format("{} repeats step {} of VNode {} of {}{}", name_of(event.subject), event.extra,
                                   event.detail, name_of(event.peer), since));
}

void Timeline::take_membership(const Event& event) {
    const auto tell = [&](const std::string& text) { say(event.time_ns, text); };
    const std::string member = name_of(event.subject);
    switch (event.kind) {
        case EventKind::member_joined:
            open_.erase(event.subject);
            return tell(fmt::format("{} attached (process {})", member, event.detail));
        case EventKind::member_active: return tell(fmt::format("{} active (view {})", member, event.detail));
        case EventKind::member_hung: return tell(member + " gives no sign of life and is killed");
        case EventKind::member_draining: return tell(fmt::format("{} drains (view {})", member, event.detail));
        case EventKind::drain_timed_out: return tell(member + " is not empty in time and is killed");
        case EventKind::moved:
            return tell(fmt::format("{} took {} of {}", member, count_of(event.detail, "VNode"), name_of(event.peer)));
        case EventKind::member_retired: return tell(fmt::format("{} left (view {})", member, event.detail));
        case EventKind::member_failed: {
            Recovery& recovery = open_recovery(event.subject, event.time_ns);
            recovery.failed_ns = event.time_ns;
            return tell(
                fmt::format("view {} without {}{}", event.detail, member, after_death(recovery, event.time_ns)));
        }
        case EventKind::death_seen: {
            const Recovery& recovery = open_recovery(event.subject, event.time_ns);
            return tell(fmt::format("death of {} seen{}", member, after_death(recovery, event.time_ns)));
        }
        case EventKind::adopted: return take_adoption(event);
        case EventKind::resumed: return take_resumption(event);
        default: return;
    }
}

void Timeline::take_port(const Event& event) {
    const auto tell = [&](const std::string& text) { say(event.time_ns, fmt::format("{} {}", name_of_port(), text)); };
    switch (event.kind) {
        case EventKind::member_joined: return tell(fmt::format("attached (process {})", event.detail));
        case EventKind::member_hung: return tell("gives no sign of life and is killed");
        case EventKind::adopted: return tell(fmt::format("answers for {}", count_of(event.detail, "VNode")));
        default: return;  // its process tells the rest
    }
}

void Timeline::take(const Event& event, const ControlSegment& segment) {
    const FaultEntry& fault = segment.faults()[event.detail % fault_count_max];
    take(event, PlannedFault{.kind = static_cast<FaultKind>(fault.kind), .count = fault.count});
}

void Timeline::take(const Event& event, const PlannedFault& fault) {
    const auto tell = [&](const std::string& text) { say(event.time_ns, text); };
    const std::string domain =
        fmt::format("domain {}{}", event.subject, node_ ? fmt::format(" on node {}", *node_) : "");
    switch (event.kind) {
        case EventKind::fault_fired: return take_fault(event, fault);
        case EventKind::phase_begun: return tell(fmt::format("{}: phase {} begins", domain, event.detail));
        case EventKind::phase_ended: return tell(fmt::format("{}: phase {} is finished", domain, event.detail));
        case EventKind::checkpoint_written:
            last_checkpoint_ = event.detail;
            return tell(fmt::format("checkpoint of step {} written", event.detail));
        case EventKind::rolled_back: return tell(fmt::format("{}: back to step {}", domain, event.detail));
        case EventKind::restored:
            return tell(fmt::format("{}: restored from the checkpoint of step {}", domain, event.detail));
        case EventKind::checkpoint_skipped:
            return tell(fmt::format("{} passed over", count_of(event.detail, "damaged checkpoint")));
        case EventKind::port_started:
            return tell(fmt::format("process {} started as {}{}", event.detail, name_of_port(),
                                    event.extra == 0 ? "" : ", anew"));
        default: return is_port(event.subject) ? take_port(event) : take_membership(event);
    }
}

std::string Timeline::summary() const { return summary_of(recoveries_); }

std::string summary_of(const std::vector<Recovery>& recoveries) {
    if (recoveries.empty()) return {};
    std::uint64_t vnodes = 0;
    std::string times;
    for (const Recovery& recovery : recoveries) {
        vnodes += recovery.adopted_vnodes;
        if (recovery.resumed_ns != 0)
            times +=
                fmt::format("{}{:.2f}", times.empty() ? "" : ", ", milliseconds(recovery.died_ns, recovery.resumed_ns));
    }
    std::string text =
        fmt::format("{} lost, {} recovered", count_of(recoveries.size(), "member"), count_of(vnodes, "VNode"));
    if (!times.empty()) text += fmt::format("; from death to the first repeated step: {} ms", times);
    return text;
}

}  // namespace phoenix::pflight
