#include "runtime/runtime_state.hpp"

#include <cstring>
#include <fmt/format.h>
#include <xxhash.h>

namespace phoenix::detail {

// Reductions run over a fixed tree of VNode numbers: leaf v is VNode v, an inner place combines the two below it, left
// first. A place is written by whoever finds both below it complete and claims it by compare-and-swap; a claim of a
// dead member is taken over. Liveness: the VNode on whose behalf the dead one climbed is executed again, deposits again
// (harmless: the leaf has the round's stamp) and climbs the same way.

void DomainState::find_collectives() {
    if (auto found = collectives_.find(runtime_->context, runtime_->pool, *header_); !found)
        runtime_->raise(found.error());
}

std::uint64_t DomainState::done_word(std::uint32_t round) const noexcept {
    return CollectiveMemory::done_word(generation_, round);
}

void DomainState::all_reduce(VNodeState& self, void* values, std::uint64_t size, Combine combine, void* context) {
    check_peer(self, "a collective", 0, 0);
    if (size > options_.collective_bytes_max)
        fail_at(
            self, Errc::invalid_argument,
            fmt::format(
                "all_reduce of {} bytes: at most DomainOptions::collective_bytes_max = {} are possible; set it higher",
                size, options_.collective_bytes_max));
    const std::uint32_t round = self.sync_round;
    if (self.trace) note(self, {2, round, 0, 0, size, XXH3_64bits(values, size)});
    if (options_.vnodes > 1) {
        find_collectives();
        CollectiveResult& entry = collectives_.result(false, round);
        const std::uint64_t done = done_word(round);
        if (entry.word.load(std::memory_order_acquire) != done) {
            make_room_for_round(self, false, round);
            deposit(self, round, values, size);
            climb(self, round, size, combine, context);
            runtime_->context.ring_port();  // what is complete on this node others wait for
        }
        while (entry.word.load(std::memory_order_acquire) != done) {
            wait(self, WaitKind::all_reduce, round, 0);
            if (entry.word.load(std::memory_order_acquire) != done) climb(self, round, size, combine, context);
        }
        read_result(self, entry, values, size);
    }
    ++self.sync_round;
}

void DomainState::deposit(VNodeState& self, std::uint32_t round, const void* value, std::uint64_t size) {
    CollectiveNode& leaf = collectives_.node(0, self.index, round);
    const std::uint64_t done = done_word(round);
    if (leaf.word.load(std::memory_order_acquire) == done) {
        // Deposited by an execution that died: the same again, or the step is not deterministic.
        if (size != 0 && options_.recovery == Recovery::local &&
            std::memcmp(CollectiveMemory::value_of(leaf), value, size) != 0)
            runtime_->context.fail(Errc::not_deterministic,
                                   fmt::format("VNode {} of domain '{}' did not do the same again when its step {} was "
                                               "repeated: it gave another value to "
                                               "all_reduce {}. --verify-replay finds the place.",
                                               self.index, name_, self.step, round));
        return;
    }
    leaf.size = static_cast<std::uint32_t>(size);
    if (size != 0) std::memcpy(CollectiveMemory::value_of(leaf), value, size);
    // Sequentially consistent: of two siblings that deposit at once at least one sees the other in climb().
    leaf.word.store(done, std::memory_order_seq_cst);
}

void DomainState::climb(VNodeState& self, std::uint32_t round, std::uint64_t size, Combine combine, void* context) {
    const Reduction reduction{round, size, combine, context};
    std::uint32_t place = self.index;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (std::uint32_t level = 0; level + 1 < collectives_.levels(); ++level, place /= 2)
        if (!complete(level + 1, place / 2, reduction)) return;
    const std::uint32_t top = collectives_.levels() - 1;
    publish_result(collectives_.result(false, round), done_word(round),
                   CollectiveMemory::value_of(collectives_.node(top, 0, round)), size);
}

// True if the place holds the combination of the two below it, made here if need be. With several nodes what lies
// beside the way up may have come from elsewhere in pieces that nobody of this node has combined yet; each place is
// combined once, so looking costs the way down to one that is missing.
bool DomainState::complete(std::uint32_t level, std::uint32_t place, const Reduction& reduction) {
    const std::uint64_t done = done_word(reduction.round);
    CollectiveNode& here = collectives_.node(level, place, reduction.round);
    if (here.word.load(std::memory_order_seq_cst) == done) return true;
    if (level == 0) return false;
    const std::uint32_t left_place = 2 * place;
    const bool has_right = left_place + 1 < collectives_.size(level - 1);
    const auto below = [&](std::uint32_t child) {
        if (runtime_->context.node_count() > 1) return complete(level - 1, child, reduction);
        return collectives_.node(level - 1, child, reduction.round).word.load(std::memory_order_seq_cst) == done;
    };
    if (!below(left_place) || (has_right && !below(left_place + 1))) return false;
    // False: a living member is at it and climbs on.
    if (!collectives_.claim(here.word, done)) return here.word.load(std::memory_order_seq_cst) == done;
    here.size = static_cast<std::uint32_t>(reduction.size);
    if (reduction.size != 0) {
        std::byte* const value = CollectiveMemory::value_of(here);
        combined_.resize(reduction.size);
        std::memcpy(combined_.data(),
                    CollectiveMemory::value_of(collectives_.node(level - 1, left_place, reduction.round)),
                    reduction.size);
        if (has_right)
            reduction.combine(
                reduction.context, combined_.data(),
                CollectiveMemory::value_of(collectives_.node(level - 1, left_place + 1, reduction.round)));
        std::memcpy(value, combined_.data(), reduction.size);
    }
    here.word.store(done, std::memory_order_seq_cst);
    return true;
}

void DomainState::publish_result(CollectiveResult& entry, std::uint64_t done, const void* value, std::uint64_t size) {
    if (auto published = collectives_.publish(entry, done, value, size); !published) runtime_->raise(published.error());
}

void DomainState::read_result(VNodeState& self, const CollectiveResult& entry, void* to, std::uint64_t size) const {
    if (entry.size != size)
        fail_at(self, Errc::invalid_argument,
                fmt::format("a collective of {} bytes met one of {} bytes of another VNode: all VNodes must make the "
                            "same collectives in the same order",
                            size, entry.size));
    if (size != 0) std::memcpy(to, collectives_.value_of(entry), size);
}

void DomainState::broadcast(VNodeState& self, std::uint32_t root, void* data, std::uint64_t size) {
    check_peer(self, "broadcast", root, 0);
    const std::uint32_t round = self.cast_round;
    if (self.trace && self.index == root) note(self, {2, round, 1, 0, size, XXH3_64bits(data, size)});
    if (options_.vnodes > 1) {
        find_collectives();
        CollectiveResult& entry = collectives_.result(true, round);
        const std::uint64_t done = done_word(round);
        if (self.index == root && entry.word.load(std::memory_order_acquire) != done) {
            make_room_for_round(self, true, round);
            publish_result(entry, done, data, size);
        }
        while (entry.word.load(std::memory_order_acquire) != done) wait(self, WaitKind::broadcast, round, 0);
        read_result(self, entry, data, size);
    }
    ++self.cast_round;
}

// Results are kept until every VNode has committed beyond their round, because a repeated step asks for them again.
void DomainState::make_room_for_round(VNodeState& self, bool cast, std::uint32_t round) {
    if (round < result_ring_size) return;
    const std::uint32_t leaving = round - result_ring_size;
    while (!rounds_committed_beyond(cast, leaving)) {
        VNodeRecord& mine = record(self.index);
        const CommitSlot& slot = slot_of(mine, *header_, self.commit_number);
        const std::uint32_t committed = self.commit_number == 0 ? 0 : cast ? slot.cast_round : slot.sync_round;
        if (committed <= leaving)
            fail_at(self, Errc::no_memory,
                    fmt::format("more than {} collectives between two commits: commit more often or use fewer per step",
                                result_ring_size));
        for (std::uint32_t v = 0; v < options_.vnodes; ++v) record(v).commit_wanted.store(1, std::memory_order_relaxed);
        wait(self, WaitKind::memory, self.index, 0);
    }
}

bool DomainState::rounds_committed_beyond(bool cast, std::uint32_t round) {
    const auto part = [cast](std::uint64_t word) { return static_cast<std::uint32_t>(cast ? word : word >> 32); };
    std::uint64_t known = header_->lowest_rounds.load(std::memory_order_acquire);
    if (part(known) > round) return true;
    std::uint32_t sync = ~std::uint32_t{0};
    std::uint32_t casts = ~std::uint32_t{0};
    for (std::uint32_t v = 0; v < options_.vnodes; ++v) {
        const CommitSlot slot = commit_of(record(v), *header_);
        sync = std::min(sync, slot.sync_round);
        casts = std::min(casts, slot.cast_round);
    }
    const std::uint64_t found = std::uint64_t{sync} << 32 | casts;
    if (options_.recovery == Recovery::local)
        header_->lowest_rounds.compare_exchange_strong(known, found, std::memory_order_acq_rel);
    return part(found) > round;
}

}  // namespace phoenix::detail
