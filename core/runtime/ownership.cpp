#include "base/check.hpp"
#include "memory/event_ring.hpp"
#include "runtime/printed_text.hpp"
#include "runtime/runtime_state.hpp"

#include <algorithm>

namespace phoenix::detail {

void DomainState::follow_directory() {
    const std::uint32_t self = runtime_->context.slot;
    std::vector<std::uint32_t> to_load;
    for (std::uint32_t v = 0; v < options_.vnodes; ++v) {
        const DirectoryWord at{word(v).load(std::memory_order_acquire)};
        const bool mine = at.owned_by(MemberSlot{self});
        if (states_[v] && (!mine || at.version() != states_[v]->directory_version)) drop(*states_[v]);
        if (mine && !states_[v]) to_load.push_back(v);
    }
    if (!to_load.empty()) load(to_load);
}

// The directory gives these VNodes to this member already. The order matters (rule 3): the word was changed first; now
// a fence, then the logs are scanned. A sender that published too late to be seen looks at the word after its own
// fence, sees us, and sends again.
void DomainState::load(const std::vector<std::uint32_t>& vnodes) {
    MemberRecord& mine = runtime_->context.record();
    std::uint32_t adopted = 0;
    std::uint32_t moved = 0;
    std::uint32_t moved_from = 0;
    const View view = runtime_->context.current_view();
    for (const std::uint32_t v : vnodes) {
        const DirectoryWord at{word(v).load(std::memory_order_acquire)};
        states_[v] = restored_state(v);
        states_[v]->directory_version = at.version();
        // Who had it before is for the timeline only.
        const std::uint32_t before = record(v).executor.exchange(runtime_->context.slot + 1, std::memory_order_relaxed);
        states_[v]->adopted = before != 0 && at.state() == OwnerState::recovering &&
                              view.members[before - 1].state == MemberState::failed;
        if (states_[v]->adopted) resumed_from_ = before - 1;
        adopted += states_[v]->adopted ? 1 : 0;
        if (before != 0 && at.state() == OwnerState::moving) {
            ++moved;
            moved_from = before - 1;
        }
        owned_.push_back(v);
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    scan_logs(vnodes);
    for (const std::uint32_t v : vnodes) {
        DirectoryWord at{word(v).load(std::memory_order_acquire)};
        if (at.version() != states_[v]->directory_version) continue;  // given on already: the next look drops it
        if (at.state() != OwnerState::active)
            word(v).compare_exchange_strong(at.bits, at.activated().bits, std::memory_order_acq_rel);
        VNodeState& self = *states_[v];
        put_out_text(runtime_->pool, *header_, record(v));
        if (in_phase_) enter_phase(self);
    }
    mine.activity.fetch_add(1, std::memory_order_release);
    const Settings& settings = runtime_->context.settings;
    if (moved != 0 && !settings.verify_replay && !settings.always_move)
        record_event(runtime_->context.segment(), EventKind::moved, runtime_->context.slot, moved, moved_from);
    if (adopted == 0) return;
    mine.recoveries.fetch_add(adopted, std::memory_order_relaxed);  // shown to people
    record_event(runtime_->context.segment(), EventKind::adopted, runtime_->context.slot, adopted, resumed_from_);
    resumption_shown_ = false;
    if (unfinished_ == 0) runtime_->context.ring_all();
}

// Puts a VNode to work in the phase that runs, from its commit on. The commit may be of a later phase already: then
// others have gone on, and this member is about to.
void DomainState::enter_phase(VNodeState& self) {
    const CommitSlot& slot = slot_of(record(self.index), *header_, self.commit_number);
    const bool here = slot.phase == phase_ && self.commit_number != 0;
    const bool finished = slot.phase > phase_ || (here && (slot.flags & commit_finished) != 0);
    self.phase = phase_;
    self.step = here ? slot.step : 0;
    self.stop_called = here && (slot.flags & commit_stopped) != 0;
    if (finished) {
        self.status = VNodeStatus::finished;
        return;
    }
    ++unfinished_;
    // Its executor may have died between the commit and the gate, or waiting there.
    if (here && !initialising_ && checkpoint_due(self.serial) &&
        header_->gate_open.load(std::memory_order_acquire) < self.serial) {
        wait_at_gate(self);
    } else {
        make_ready(self);
    }
}

std::unique_ptr<VNodeState> DomainState::restored_state(std::uint32_t vnode) {
    VNodeRecord& shared = record(vnode);
    take_back(vnode);
    auto state = std::make_unique<VNodeState>();
    state->domain = this;
    state->index = vnode;
    state->commit_number = shared.select.load(std::memory_order_acquire);
    const CommitSlot& slot = slot_of(shared, *header_, state->commit_number);
    if (state->commit_number != 0) {
        state->phase = slot.phase;
        state->serial = slot.serial;
        state->step = slot.step;
        state->stop_called = (slot.flags & commit_stopped) != 0;
        state->sync_round = slot.sync_round;
        state->cast_round = slot.cast_round;
        if (slot.channel_extent != 0)
            read_channels(runtime_->pool.data(slot.channel_extent), slot.channel_count, state->channels);
    }
    init_fields(*state, slot);
    shared.wait.store(0, std::memory_order_release);
    if (runtime_->context.settings.verify_replay) state->trace = std::make_unique<std::vector<TraceItem>>();
    return state;
}

// Finds every record of the node for these VNodes that their commits have not consumed, in whosever log it lies: of the
// living, of the dead, of any past owner.
void DomainState::scan_logs(const std::vector<std::uint32_t>& vnodes) {
    if (vnodes.empty()) return;
    const ExtentPool& pool = runtime_->pool;
    pool.for_each([&](ExtentId id, std::uint64_t owner_word, const ExtentOwner& owner) {
        if (owner.kind != ExtentKind::chunk) return;
        scan_chunk(pool, id, owner_word, [&](const RecordRef& ref, const Record& head) {
            if (head.domain() != header_->index || head.destination >= options_.vnodes) return;
            VNodeState* self = states_[head.destination].get();
            if (self == nullptr || ref.released()) return;
            if (head.generation() != generation_ && !belongs_to_now(head)) return ref.release();
            file(*self, self->channels.at(head.source), ref);
        });
    });
}

void DomainState::drop(VNodeState& self) {
    const std::uint32_t v = self.index;
    PHOENIX_CHECK_NOTE(self.fiber == nullptr, "a VNode in the middle of a step changed hands");
    const auto forget = [&self](auto& list) { list.erase(std::remove(list.begin(), list.end(), &self), list.end()); };
    forget(ready_);
    forget(gate_waiters_);
    forget(collective_waiters_);
    forget(room_waiters_);
    if (self.status != VNodeStatus::finished && in_phase_) --unfinished_;
    // Extents of this step that no commit knows.
    for (std::uint32_t field = 0; field < header_->field_count; ++field) {
        const FieldLive& live = self.fields[field];
        if (header_->fields[field].resizable != 0 && live.touched && live.extent != 0) runtime_->pool.free(live.extent);
    }
    owned_.erase(std::find(owned_.begin(), owned_.end(), v));
    states_[v].reset();
}

void DomainState::give_away(VNodeState& self, std::uint32_t member) {
    DirectoryWord at{word(self.index).load(std::memory_order_acquire)};
    const std::uint32_t v = self.index;
    if (at.executed_by(MemberSlot{runtime_->context.slot}))
        word(v).compare_exchange_strong(at.bits,
                                        at.given_to(MemberSlot{member}).bits);  // seq_cst: as in Service::change_owners
    drop(self);
    header_->directory_news.fetch_add(1, std::memory_order_release);
    runtime_->context.ring_all();
}

bool DomainState::committed_here(const VNodeState& self) {
    if (self.commit_number == 0) return self.serial == 0;
    return slot_of(record(self.index), *header_, self.commit_number).serial == self.serial;
}

bool DomainState::give_away_if_asked(VNodeState& self, bool finished) {
    const DirectoryWord at{word(self.index).load(std::memory_order_acquire)};
    MoveRequest request{runtime_->context.move_request(*header_, self.index).load(std::memory_order_relaxed)};
    // Test mode: every VNode moves at every boundary.
    if (runtime_->context.settings.always_move && !finished)
        request = MoveRequest::make(MemberSlot{runtime_->next_member()}, at.version());
    if (request.bits == 0) [[likely]]
        return false;
    if (!request.holds_for(at) || !at.executed_by(MemberSlot{runtime_->context.slot})) return false;
    // To one that has gone it would only come back by way of the coordinator.
    const std::uint32_t port = runtime_->context.header().port.load(std::memory_order_acquire);
    if (request.asks_for_node() && port == 0) return false;
    const MemberSlot receiver = request.asks_for_node() ? MemberSlot{port - 1} : request.receiver();
    if (!runtime_->context.current_view().is_active(receiver)) return false;
    if (!committed_here(self)) {
        // With global recovery commits are made at common cuts only: it moves at the next one.
        if (options_.recovery == Recovery::global) return false;
        commit(self, finished);
    }
    give_away(self, receiver.value);
    return true;
}

void DomainState::give_idle_away() {
    const std::vector<std::uint32_t> mine = owned_;
    for (const std::uint32_t v : mine) {
        VNodeState& self = *states_[v];
        const bool between_steps =
            self.fiber == nullptr &&
            (self.status == VNodeStatus::finished || (self.status == VNodeStatus::ready && committed_here(self)));
        if (between_steps) (void)give_away_if_asked(self, self.status == VNodeStatus::finished);
    }
}

void DomainState::ask_to_move(const VNodeState& self, std::uint64_t pick) {
    const MemberContext& context = runtime_->context;
    const View view = context.current_view();
    std::vector<std::uint32_t> others;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const bool takes =
            (context.segment().member(slot).taking.load(std::memory_order_acquire) >> header_->index & 1) != 0;
        if (slot != context.slot && takes && view.is_active(MemberSlot{slot})) others.push_back(slot);
    }
    for (std::uint32_t node = 0; node < context.node_count(); ++node)
        if (NodeId{node} != context.node()) others.push_back(MoveRequest::node_base + node);
    if (others.empty()) return;
    // Nobody need be rung: the asker executes the VNode itself and looks at the end of this step.
    const DirectoryWord at{word(self.index).load(std::memory_order_acquire)};
    context.move_request(*header_, self.index)
        .store(MoveRequest::make(MemberSlot{others[pick % others.size()]}, at.version()).bits,
               std::memory_order_relaxed);
}

VNodeRecord& DomainState::record(std::uint32_t vnode) const noexcept {
    return runtime_->context.vnode_record(*header_, vnode);
}
AtomicDirectoryWord& DomainState::word(std::uint32_t vnode) const noexcept {
    return runtime_->context.directory_word(*header_, vnode);
}

}  // namespace phoenix::detail
