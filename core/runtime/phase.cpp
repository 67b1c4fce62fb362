#include "base/clock.hpp"
#include "memory/event_ring.hpp"
#include "messaging/doorbell.hpp"
#include "runtime/crash_report.hpp"
#include "runtime/runtime_state.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace phoenix::detail {

namespace {

bool finished_in(const CommitSlot& slot, std::uint32_t phase) noexcept {
    return slot.phase > phase || (slot.phase == phase && (slot.flags & commit_finished) != 0);
}

constexpr int unwind_attempts_max = 1000;

}  // namespace

RunResult DomainState::run_phase(bool initialise, std::uint64_t steps, const StepFunction& step) {
    if (in_phase_ || FiberPool::current() != nullptr)
        throw Error{Errc::wrong_state,
                    fmt::format("run() or initialise() of domain '{}' was called inside a step.", name_)};
    seal();
    const std::uint32_t phase = ++phases_;
    const std::string cell = fmt::format("phase/{}/{}", name_, phase);
    std::string recorded;
    struct Ended {
        RunResult result;
        std::uint64_t asked;
    } ended{};
    if (!runtime_->recorded(cell, recorded)) {
        initialising_ = initialise;
        step_ = step;
        begin_phase(phase, steps);
        execute_until_done(steps);
        recorded = runtime_->once(cell, [&] {
            const Ended outcome{phase_result(phase), steps};
            record_event(runtime_->context.segment(), EventKind::phase_ended, header_->index, phase);
            return to_bytes(outcome);
        });
    }
    std::memcpy(&ended, recorded.data(), std::min(recorded.size(), sizeof ended));
    if (ended.asked != steps)
        runtime_->context.fail(Errc::mismatch, fmt::format("Phase {} of domain '{}' is over and had {} steps, but now "
                                                           "{} are asked for: restart with the arguments "
                                                           "of the first run, or start afresh.",
                                                           phase, name_, ended.asked, steps));
    return ended.result;
}

void DomainState::begin_phase(std::uint32_t phase, std::uint64_t steps) {
    phase_ = phase;
    phase_steps_ = steps;
    done_cursor_ = 0;
    in_phase_ = true;
    unwinding_ = false;
    std::uint32_t highest = header_->phase.load(std::memory_order_acquire);
    while (highest < phase) {
        if (!header_->phase.compare_exchange_weak(highest, phase, std::memory_order_acq_rel)) continue;
        record_event(runtime_->context.segment(), EventKind::phase_begun, header_->index, phase);
        break;
    }
    if (highest <= phase)
        header_->phase_steps.store(steps, std::memory_order_relaxed);  // shown to people; the same in all members
    unfinished_ = 0;
    ready_.clear();
    gate_waiters_.clear();
    for (const std::uint32_t v : owned_) enter_phase(*states_[v]);
    // The coordinator may give this member its share from here on.
    MemberRecord& mine = runtime_->context.record();
    mine.taking.fetch_or(std::uint64_t{1} << header_->index, std::memory_order_release);
    ring_services(runtime_->context.segment());
    directory_seen_ = ~std::uint64_t{0};
    attention_seen_ = runtime_->context.record().attention.load(std::memory_order_acquire) - 1;
}

void DomainState::execute_until_done(std::uint64_t steps) {
    struct Leave {
        DomainState* self;
        ~Leave() {
            self->in_phase_ = false;
            self->runtime_->context.record().taking.fetch_and(~(std::uint64_t{1} << self->header_->index),
                                                              std::memory_order_release);
            self->runtime_->context.record().executing.store(0, std::memory_order_relaxed);  // no step runs any more
        }
    } const leave{this};
    for (;;) {
        handle_news();
        runtime_->poll();
        if (!collective_waiters_.empty()) (void)resume_collective_waiters();
        if (!gate_waiters_.empty()) (void)open_gates();
        if (!ready_.empty()) {
            VNodeState& self = *ready_.front();
            ready_.pop_front();
            run_slice(self);
            continue;
        }
        if (!room_waiters_.empty()) {
            for (VNodeState* waiter : std::exchange(room_waiters_, {})) make_ready(*waiter);
            continue;
        }
        if (unfinished_ == 0 && phase_done()) return;
        if (steps != 0 && help_checkpoint()) continue;
        if (!spin()) idle();
    }
}

void DomainState::make_ready(VNodeState& self) {
    self.status = VNodeStatus::ready;
    ready_.push_back(&self);
}

void DomainState::handle_news() {
    const MemberContext& context = runtime_->context;
    const std::uint32_t attention = context.record().attention.load(std::memory_order_acquire);
    if (attention == attention_seen_) return;
    attention_seen_ = attention;
    runtime_->service->pass_news_on();
    if (!context.job_running()) {
        unwind_all();
        context.throw_if_ended();
    }
    runtime_->part_from_the_gone();
    roll_back_if_needed();
    if (owned_.empty()) runtime_->leave_if_drained();
    if (runtime_->waits_to_retire()) {
        directory_seen_ = ~std::uint64_t{0};
        return;
    }
    const std::uint64_t news = header_->directory_news.load(std::memory_order_acquire);
    if (news != directory_seen_) {
        directory_seen_ = news;
        follow_directory();
    }
    const std::uint64_t wishes = header_->move_news.load(std::memory_order_acquire);
    if (wishes != moves_seen_) {
        moves_seen_ = wishes;
        give_idle_away();
    }
}

void DomainState::run_slice(VNodeState& self) {
    MemberRecord& mine = runtime_->context.record();
    if (self.fiber == nullptr) {
        if (self.step >= phase_steps_) return end_step(self);  // a phase of no steps: only its end is committed
        begin_step(self);
    }
    mine.executing.store(executing_word(header_->index, self.index, self.serial),
                         std::memory_order_relaxed);  // read after a death
    mine.activity.store(mine.activity.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    self.status = VNodeStatus::running;
    const bool over = runtime_->fibers.resume(self.fiber);
    if (!over) return;
    self.fiber = nullptr;
    end_step(self);
}

void DomainState::begin_step(VNodeState& self) {
    if (!initialising_) {
        runtime_->faults.at_step(self.step, phase_steps_);
        if (const std::uint64_t pick = runtime_->faults.take_move(); pick != 0) ask_to_move(self, pick - 1);
    }
    if (self.adopted) {
        self.adopted = false;
        if (!std::exchange(resumption_shown_, true))
            record_event(runtime_->context.segment(), EventKind::resumed, runtime_->context.slot, self.index,
                         resumed_from_, self.step);
    }
    self.random_calls = 0;
    self.fresh_halo = false;
    self.fiber = runtime_->fibers.acquire(&DomainState::fiber_entry, &self);
    if (self.fiber == nullptr)
        runtime_->context.fail(
            Errc::no_memory,
            "No address space for another fiber stack: use fewer VNodes that wait at once or a smaller --stack-size.");
}

void DomainState::fiber_entry(void* raw) {
    auto& self = *static_cast<VNodeState*>(raw);
    DomainState& domain = *self.domain;
    try {
        VNode vnode{self};
        domain.step_(vnode);
    } catch (const Unwind&) {
        // The step does not count; whoever unwinds knows.
    } catch (...) {
        domain.step_error_ = std::current_exception();
    }
}

void DomainState::step_failed(VNodeState& self, const std::exception_ptr& error) {
    std::string what = "an exception that is no std::exception";
    Errc code = Errc::step_failed;
    try {
        std::rethrow_exception(error);
    } catch (const Error& known) {
        code = known.code();
        what = known.what();
    } catch (const std::exception& known) {
        what = known.what();
    } catch (...) {
        code = Errc::step_failed;  // nothing more is known of it
    }
    const MemberContext& context = runtime_->context;
    if (context.job_running())
        context.fail_quietly(
            code, fmt::format("VNode {} of domain '{}' threw in step {}: {}", self.index, name_, self.step, what));
    unwind_all();
    context.throw_if_ended();
}

void DomainState::end_step(VNodeState& self) {
    if (unwinding_) return;
    if (step_error_) step_failed(self, std::exchange(step_error_, nullptr));
    MemberRecord& mine = runtime_->context.record();
    if (self.step < phase_steps_) {
        if (self.trace && !verify_step(self)) return;
        for (std::uint32_t field = 0; field < header_->field_count; ++field) {
            FieldLive& live = self.fields[field];
            if (header_->fields[field].two_buffer == 0 || !live.touched) continue;
            live.now = static_cast<std::uint8_t>(next_buffer(self, field));
            live.touched = false;
        }
        if (self.serial == ~std::uint32_t{0})
            runtime_->context.fail(
                Errc::wrong_state,
                fmt::format("VNode {} of domain '{}' has executed 2^32 - 1 steps, as many as a job can count; restart "
                            "from a checkpoint of an earlier phase, or do more in a step.",
                            self.index, name_));
        ++self.step;
        ++self.serial;
        mine.steps.store(mine.steps.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);  // shown to people
        check_stop(self);
    }
    after_step(self);
}

void DomainState::after_step(VNodeState& self) {
    const bool finished = self.stop_called || self.step >= phase_steps_;
    const bool global = options_.recovery == Recovery::global;
    const bool checkpoint = !initialising_ && checkpoint_due(self.serial);
    const bool due = finished || checkpoint || self.step % options_.commit_every == 0;
    if (global && due && !cut_closed(self.commit_number)) {
        // The slot about to be written holds the cut that everybody could still go back to.
        return wait_at_gate(self);
    }
    if (global && due) release_closed(self);
    if (due ||
        (!global && (!self.print.empty() || record(self.index).commit_wanted.load(std::memory_order_relaxed) != 0)))
        commit(self, finished);
    if (checkpoint && header_->gate_open.load(std::memory_order_acquire) < self.serial) {
        return wait_at_gate(self);
    }
    if (give_away_if_asked(self, finished)) return;
    go_on(self, finished);
}

void DomainState::wait_at_gate(VNodeState& self) {
    self.status = VNodeStatus::at_gate;
    gate_waiters_.push_back(&self);
    show_wait(self, WaitKind::gate, 0, 0);
    // The others look whether this was the last one.
    if (ready_.empty()) runtime_->context.ring_all();
}

// Puts what a VNode waits for where the deadlock verdict and the progress output see it.
void DomainState::show_wait(const VNodeState& self, WaitKind kind, std::uint32_t peer, std::uint32_t tag) noexcept {
    VNodeRecord& mine = record(self.index);
    if (kind != WaitKind::none) {
        mine.wait_since.store(boot_time_ns(), std::memory_order_relaxed);  // both published by the next store
        mine.wait_step.store(self.step, std::memory_order_relaxed);
    }
    mine.wait.store(static_cast<std::uint64_t>(kind) | std::uint64_t{tag} << 8 | std::uint64_t{peer} << 32,
                    std::memory_order_release);
}

void DomainState::go_on(VNodeState& self, bool finished) {
    if (!finished) return make_ready(self);
    self.status = VNodeStatus::finished;
    // Whoever finishes its last VNode tells the others to look whether the phase is over.
    if (--unfinished_ == 0) runtime_->context.ring_all();
}

bool DomainState::open_gates() {
    std::vector<VNodeState*> still;
    bool opened = false;
    for (VNodeState* waiter : std::exchange(gate_waiters_, {})) {
        VNodeState& self = *waiter;
        VNodeRecord& mine = record(self.index);
        const bool committed =
            slot_of(mine, *header_, self.commit_number).serial == self.serial && self.commit_number != 0;
        if (!committed) {  // before a cut
            if (cut_closed(self.commit_number)) {
                opened = true;
                show_wait(self, WaitKind::none, 0, 0);
                after_step(self);
            } else {
                gate_waiters_.push_back(waiter);
            }
        } else if (header_->gate_open.load(std::memory_order_acquire) >= self.serial) {
            opened = true;
            show_wait(self, WaitKind::none, 0, 0);
            go_on(self, self.stop_called || self.step >= phase_steps_);
        } else {
            gate_waiters_.push_back(waiter);
        }
    }
    return opened;
}

bool DomainState::phase_done() {
    for (; done_cursor_ < options_.vnodes; ++done_cursor_) {
        const CommitSlot slot = commit_of(record(done_cursor_), *header_);
        if (!finished_in(slot, phase_) || !commit_counts(slot)) return false;
    }
    return true;
}

RunResult DomainState::phase_result(std::uint32_t phase) {
    RunResult result;
    std::uint32_t stopped = 0;
    std::uint32_t other = 0;
    for (std::uint32_t v = 0; v < options_.vnodes; ++v) {
        const CommitSlot slot = commit_of(record(v), *header_);
        const bool has_stopped = (slot.flags & commit_stopped) != 0;
        stopped += has_stopped ? 1 : 0;
        if (!has_stopped) other = v;
        result.steps = slot.step;
    }
    result.stopped = stopped != 0;
    if (stopped != 0 && stopped != options_.vnodes)
        runtime_->context.fail(Errc::invalid_argument,
                               fmt::format("{} of {} VNodes of domain '{}' called stop() in the last step of phase {}, "
                                           "but VNode {} did not: all must "
                                           "call it in the same step; decide by the result of an all_reduce.",
                                           stopped, options_.vnodes, name_, phase, other));
    if (initialising_) result.steps = 0;
    return result;
}

// Takes every fiber off its stack; the steps do not count.
void DomainState::unwind_all() noexcept {
    unwinding_ = true;
    for (const std::uint32_t v : owned_) {
        VNodeState& self = *states_[v];
        for (int attempt = 0; self.fiber != nullptr && attempt < unwind_attempts_max; ++attempt)
            if (runtime_->fibers.resume(self.fiber)) self.fiber = nullptr;
        // A step that catches everything and calls again and again is dropped with its stack.
        if (self.fiber != nullptr) runtime_->fibers.abandon(std::exchange(self.fiber, nullptr));
        show_wait(self, WaitKind::none, 0, 0);
    }
    step_error_ = nullptr;
    ready_.clear();
    collective_waiters_.clear();
    gate_waiters_.clear();
    room_waiters_.clear();
}

}  // namespace phoenix::detail
