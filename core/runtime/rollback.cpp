#include "memory/event_ring.hpp"
#include "runtime/runtime_state.hpp"

#include <algorithm>
#include <limits>

namespace phoenix::detail {

// Global recovery (rules 15, 22). All VNodes commit at the same steps ("cuts") and keep the last two. When a member has
// died in a phase, whoever notices starts a new generation; everybody stops executing the old one and says so; then the
// newest cut that all VNodes have is what all go back to. Messages sent after that cut are dropped, those that cross it
// are delivered again.

void DomainState::roll_back_if_needed() {
    if (options_.recovery != Recovery::global) return;
    const MemberContext& context = runtime_->context;
    // The generation is the number of members that have failed: everybody computes the same one from the view.
    const std::uint32_t failed = context.failed_members();
    std::uint32_t generation = header_->generation.load(std::memory_order_acquire);
    while (generation < failed &&
           !header_->generation.compare_exchange_weak(generation, failed, std::memory_order_acq_rel)) {
    }
    generation = header_->generation.load(std::memory_order_acquire);
    if (generation == generation_) return;

    unwind_all();
    for (const std::uint32_t v : std::vector<std::uint32_t>{owned_}) drop(*states_[v]);
    context.record().generation.store(generation, std::memory_order_release);  // pairs with everybody_stopped()
    context.ring_all();
    while (!everybody_stopped(generation)) {
        if (header_->generation.load(std::memory_order_acquire) != generation || !context.job_running()) {
            attention_seen_ = context.record().attention.load(std::memory_order_acquire) - 1;
            generation_ = generation - 1;  // looked at again by the next handle_news()
            return;
        }
        runtime_->wait_for_news(context.record().attention.load(std::memory_order_acquire));
        // Another one died meanwhile: the next generation has begun.
        std::uint32_t expected = generation;
        if (const std::uint32_t now_failed = context.failed_members(); now_failed > generation)
            header_->generation.compare_exchange_strong(expected, now_failed, std::memory_order_acq_rel);
    }
    const std::uint64_t target = rollback_target(generation);
    generation_ = generation;
    closed_number_ = 0;
    closed_cursor_ = 0;
    done_cursor_ = 0;
    unfinished_ = 0;
    unwinding_ = false;
    // The slot of the target is intact in every record: it is overwritten only once the next cut is closed. That is
    // long ago for a member that has just come; it has no VNodes yet, and adopts some only in a later generation.
    const CommitSlot& slot = slot_of(record(0), *header_, target);
    cut_serial_ = target != 0 && slot.number == target ? slot.serial : 0;
    // A stop() that was called after the cut has not happened.
    header_->stop_word.store(0, std::memory_order_release);
    directory_seen_ = ~std::uint64_t{0};
    record_event(context.segment(), EventKind::rolled_back, header_->index, cut_serial_);
}

bool DomainState::everybody_stopped(std::uint32_t generation) const {
    const MemberContext& context = runtime_->context;
    const View view = context.current_view();
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberState state = view.members[slot].state;
        if (state != MemberState::active && state != MemberState::draining) continue;
        if (context.segment().member(slot).generation.load(std::memory_order_acquire) < generation) return false;
    }
    return true;
}

// Nobody commits any more, so everybody finds the same number; the first to find it writes it down, because those who
// go on first commit again.
std::uint64_t DomainState::rollback_target(std::uint32_t generation) {
    std::uint64_t seen = header_->rollback.load(std::memory_order_acquire);
    if (seen >> 32 >= generation) return seen & 0xFFFFFFFF;
    std::uint64_t lowest = std::numeric_limits<std::uint32_t>::max();
    for (std::uint32_t v = 0; v < options_.vnodes; ++v)
        lowest = std::min(lowest, record(v).select.load(std::memory_order_acquire));
    const std::uint64_t wanted = std::uint64_t{generation} << 32 | lowest;
    if (header_->rollback.compare_exchange_strong(seen, wanted, std::memory_order_acq_rel)) return lowest;
    return seen & 0xFFFFFFFF;
}

// Called by a new owner before it reads the commit; idempotent.
void DomainState::take_back(std::uint32_t vnode) {
    VNodeRecord& shared = record(vnode);
    const std::uint64_t number = shared.select.load(std::memory_order_acquire);
    if (number != 0 && !commit_counts(slot_of(shared, *header_, number)))
        shared.select.store(header_->rollback.load(std::memory_order_acquire) & 0xFFFFFFFF, std::memory_order_release);
}

}  // namespace phoenix::detail
