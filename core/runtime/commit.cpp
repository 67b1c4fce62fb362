#include "runtime/printed_text.hpp"
#include "runtime/runtime_state.hpp"

#include <cstring>
#include <fmt/format.h>

namespace phoenix::detail {

// Builds the next commit in the slot that is not in force and selects it by one store. Until then nothing of the commit
// in force has been touched; after it, everything a re-execution of the next step needs is in place.
void DomainState::commit(VNodeState& self, bool finished) {
    VNodeRecord& mine = record(self.index);
    const std::uint64_t number = self.commit_number + 1;
    CommitSlot& slot = slot_of(mine, *header_, number);
    CommitSlot& other = slot_of(mine, *header_, self.commit_number);
    // Before anything else of the slot changes; pairs with the fences in consumed_by_commit.
    std::atomic_ref{slot.number}.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    slot.phase = self.phase;
    slot.flags = (finished ? commit_finished : 0) | (finished && self.stop_called ? commit_stopped : 0);
    slot.step = self.step;
    slot.serial = self.serial;
    slot.generation = generation_;
    slot.sync_round = self.sync_round;
    slot.cast_round = self.cast_round;
    commit_fields(self, slot, other);
    commit_channels(self, slot);
    commit_print(self, slot);
    std::atomic_ref{slot.number}.store(number, std::memory_order_release);
    mine.commit_wanted.store(0, std::memory_order_relaxed);  // a wish that comes now is met by the next boundary
    // Publishes the commit; pairs with the acquire loads of `select` in restored_state and consumed_by_commit.
    mine.select.store(number, std::memory_order_release);
    self.commit_number = number;
    for (std::uint32_t field = 0; field < header_->field_count; ++field) {
        self.fields[field].committed = self.fields[field].now;
        self.fields[field].touched = false;
    }
    put_out_text(runtime_->pool, *header_, mine);
    if (options_.recovery == Recovery::local) {
        release_all(self.consumed);
    } else {
        // The cut may still be given up for the one before: what was consumed up to it stays until it is closed.
        self.held.insert(self.held.end(), self.consumed.begin(), self.consumed.end());
    }
    self.consumed.clear();
}

void DomainState::commit_fields(VNodeState& self, CommitSlot& slot, CommitSlot& other) {
    FieldCommit* commits = fields_of(slot);
    for (std::uint32_t field = 0; field < header_->field_count; ++field) {
        const FieldLive& live = self.fields[field];
        if (header_->fields[field].resizable == 0) {
            commits[field].at = live.now;
            continue;
        }
        const std::uint64_t old = commits[field].at;
        commits[field] = {live.extent, live.count};
        // Freed after the slot has the new one; dying in between loses the use of one extent.
        if (old != 0 && old != live.extent && old != fields_of(other)[field].at)
            runtime_->pool.free(static_cast<ExtentId>(old));
    }
}

void DomainState::commit_channels(VNodeState& self, CommitSlot& slot) {
    const std::uint64_t size = channels_size(self.channels);
    ExtentPool& pool = runtime_->pool;
    if (size != 0 && (slot.channel_extent == 0 || pool.size(slot.channel_extent) < size)) {
        auto extent = pool.allocate(size, ExtentKind::state, header_->index, self.index);
        if (!extent) runtime_->raise(extent.error());
        const std::uint32_t old = slot.channel_extent;
        slot.channel_count = 0;
        slot.channel_extent = *extent;
        if (old != 0) pool.free(old);
    }
    if (size != 0) write_channels(self.channels, pool.data(slot.channel_extent));
    slot.channel_count = static_cast<std::uint32_t>(self.channels.all().size());
}

void DomainState::commit_print(VNodeState& self, CommitSlot& slot) {
    ExtentPool& pool = runtime_->pool;
    const std::uint32_t old = slot.print_extent;
    std::uint32_t fresh = 0;
    if (!self.print.empty()) {
        auto extent = pool.allocate(self.print.size(), ExtentKind::state, header_->index, self.index);
        if (!extent) runtime_->raise(extent.error());
        std::memcpy(pool.data(*extent), self.print.data(), self.print.size());
        fresh = *extent;
    }
    slot.print_extent = fresh;
    slot.print_size = static_cast<std::uint32_t>(self.print.size());
    if (old != 0) pool.free(old);
    self.print.clear();
}

// stop() counts only if all VNodes call it in the same step (rule 9). Called when a step is complete, before its
// commit.
void DomainState::check_stop(const VNodeState& self) {
    const auto word_of = [](std::uint32_t phase, std::uint64_t step) {
        return std::uint64_t{phase} << 48 | (step + 1);
    };
    std::uint64_t seen = header_->stop_word.load(std::memory_order_acquire);
    const std::uint64_t mine = word_of(self.phase, self.step - 1);
    while (self.stop_called && seen >> 48 != self.phase) {
        header_->stop_vnode.store(self.index, std::memory_order_relaxed);  // any of the first will do
        if (header_->stop_word.compare_exchange_weak(seen, mine, std::memory_order_acq_rel)) return;
    }
    if (seen >> 48 != self.phase) return;
    const std::uint64_t stop_step = (seen & 0xFFFFFFFFFFFF) - 1;
    const bool agrees = self.stop_called ? stop_step == self.step - 1 : stop_step > self.step - 1;
    if (agrees) return;
    runtime_->context.fail(
        Errc::invalid_argument,
        fmt::format(
            "VNode {} of domain '{}' called stop() in step {}, but VNode {} {}: all VNodes must call stop() in the "
            "same step; decide by the result of an all_reduce.",
            header_->stop_vnode.load(std::memory_order_relaxed), name_, stop_step, self.index,
            self.stop_called ? fmt::format("called it in step {}", self.step - 1)
                             : fmt::format("completed step {} without it", self.step - 1)));
}

// Global recovery: a cut is closed when every VNode has committed it in the present generation.
bool DomainState::cut_closed(std::uint64_t number) {
    if (closed_number_ >= number) return true;
    for (; closed_cursor_ < options_.vnodes; ++closed_cursor_) {
        VNodeRecord& other = record(closed_cursor_);
        const std::uint64_t reached = other.select.load(std::memory_order_acquire);
        if (reached < number) return false;
        if (reached == number && !commit_counts(commit_of(other, *header_))) return false;
    }
    closed_number_ = number;
    closed_cursor_ = 0;
    return true;
}

// With global recovery a commit after the cut that the present generation began with counts only if it was made in this
// generation: others are of VNodes that their owners have yet to take back.
bool DomainState::commit_counts(const CommitSlot& slot) const noexcept {
    if (options_.recovery == Recovery::local || slot.generation == generation_) return true;
    return slot.number <= (header_->rollback.load(std::memory_order_acquire) & 0xFFFFFFFF);
}

void DomainState::release_closed(VNodeState& self) {
    for (const RecordRef& ref : self.held) ref.release();
    self.held.clear();
}

}  // namespace phoenix::detail
