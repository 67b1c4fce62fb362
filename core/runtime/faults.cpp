#include "runtime/faults.hpp"

#include "base/clock.hpp"
#include "base/process.hpp"
#include "control/fault_plan.hpp"
#include "memory/event_ring.hpp"
#include "memory/member_table.hpp"

#include <algorithm>
#include <csignal>
#include <unistd.h>

namespace phoenix {

namespace {

// Each look at the processes is a number of system calls, and VNodes start many steps meanwhile.
constexpr std::uint64_t look_period_ns = 1'000'000;
// Whoever was picked has no VNodes, or does not come to a step for another reason.
constexpr std::uint64_t pick_patience_ns = 20'000'000;

}  // namespace

FaultWatch::FaultWatch(const MemberContext& context) noexcept
    : context_(&context), armed_(context.header().fault_count.load(std::memory_order_acquire) != 0) {}

LivenessTable FaultWatch::liveness_of(const View& view) const {
    LivenessTable liveness{};
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        if (view.members[slot].state == MemberState::active &&
            (context_->is_port(slot) || !identity_of(context_->segment().member(slot)).alive()))
            liveness[slot] = Liveness::dead;
    }
    return liveness;
}

const FaultWatch::Candidates& FaultWatch::recent_candidates() {
    const std::uint64_t now = boot_time_ns();
    if (looked_ns_ == 0 || now > looked_ns_ + look_period_ns) {
        recent_ = candidates();
        looked_ns_ = now;
    }
    return recent_;
}

FaultWatch::Candidates FaultWatch::candidates() const {
    const View view = context_->current_view();
    const LivenessTable liveness = liveness_of(view);
    Candidates found;
    std::size_t living = 0;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        if (view.members[slot].state != MemberState::active || liveness[slot] != Liveness::alive) continue;
        const bool works =
            slot == context_->slot || context_->segment().member(slot).steps.load(std::memory_order_relaxed) != 0;
        if (works) found.slots.push_back(slot);
        ++living;
    }
    // Chaos never takes the last one of the job: that of node 0, since others may go at the same moment.
    const bool others_elsewhere =
        context_->node() != home_node && context_->header().keepers_elsewhere.load(std::memory_order_acquire) != 0;
    found.would_be_missed = living < 2 && !others_elsewhere;
    return found;
}

bool FaultWatch::meant(const FaultEntry& entry) {
    if (entry.target == fault_target_anybody) return true;
    if (entry.target >= 0) return static_cast<std::uint32_t>(entry.target) == context_->slot;
    if (entry.target == fault_target_coordinator) {
        const View view = context_->current_view();
        const auto coordinator = coordinator_of(view, liveness_of(view));
        return coordinator && coordinator->value == context_->slot;
    }
    const auto is_picked = [&](const Candidates& found) {
        return !found.would_be_missed && !found.slots.empty() &&
               found.slots[entry.pick % found.slots.size()] == context_->slot;
    };
    // What is somewhat old will do for a no.
    if (is_picked(recent_candidates())) return is_picked(candidates());
    return is_overdue(entry) && !candidates().would_be_missed;
}

bool FaultWatch::is_overdue(const FaultEntry& entry) {
    const std::uint64_t now = boot_time_ns();
    if (&entry != std::exchange(awaited_, &entry)) awaited_since_ns_ = now;
    return now > awaited_since_ns_ + pick_patience_ns;
}

// One that would take the last member waits, and lets others pass: among them may be a join.
bool FaultWatch::is_next(const FaultEntry& entry) {
    const auto faults = context_->segment().faults();
    for (std::uint32_t after = entry.after; after != 0; after = faults[after - 1].after) {
        const FaultEntry& before = faults[after - 1];
        if (before.fired.load(std::memory_order_acquire) != 0) continue;
        if (before.target != fault_target_picked || !recent_candidates().would_be_missed) return false;
    }
    return true;
}

void FaultWatch::look(std::uint64_t step, std::uint64_t steps) {
    const auto faults = context_->segment().faults();
    const std::uint32_t count =
        std::min(context_->header().fault_count.load(std::memory_order_acquire), fault_count_max);
    bool left = false;
    for (std::uint32_t index = 0; index < count; ++index) {
        FaultEntry& entry = faults[index];
        if (entry.fired.load(std::memory_order_acquire) != 0) continue;
        left = true;
        const auto due = entry.step_fraction >= 0
                             ? static_cast<std::uint64_t>(entry.step_fraction * static_cast<double>(steps))
                             : entry.step;
        if (step < due || !is_next(entry) || !meant(entry)) continue;
        std::uint32_t unfired = 0;
        if (!entry.fired.compare_exchange_strong(unfired, context_->slot + 1, std::memory_order_acq_rel)) continue;
        record_event(context_->segment(), EventKind::fault_fired, context_->slot, index);
        entry.fired_at_ns.store(boot_time_ns(), std::memory_order_release);
        carry_out(entry);
    }
    armed_ = left;
}

void FaultWatch::carry_out(const FaultEntry& entry) {
    switch (static_cast<FaultKind>(entry.kind)) {
        case FaultKind::none: return;
        case FaultKind::kill: kill(getpid(), SIGKILL); return;
        case FaultKind::stop: kill(getpid(), SIGSTOP); return;
        case FaultKind::join: (void)request_growth(context_->segment(), entry.count); return;
        case FaultKind::retire:
            request_retirement(context_->segment(), context_->slot, context_->incarnation, 0);
            return;
        case FaultKind::move: move_wanted_ = entry.pick + 1; return;
        case FaultKind::kill_port: return;  // the agent does it, as it resumes those that are stopped
    }
}

}  // namespace phoenix
