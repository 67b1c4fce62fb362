#include "memory/once_cells.hpp"
#include "messaging/doorbell.hpp"
#include "runtime/runtime_state.hpp"

#include <array>
#include <cstring>
#include <fmt/format.h>
#include <sched.h>
#include <vector>
#include <xxhash.h>

namespace phoenix::detail {

// Reductions run over a fixed tree of VNode numbers: leaf v is VNode v, an inner place combines the two below it, left
// first. A place is written by whoever finds both below it complete and claims it by compare-and-swap; a claim of a
// dead member is taken over. Liveness: the VNode on whose behalf the dead one climbed is executed again, deposits again
// (harmless: the leaf has the round's stamp) and climbs the same way.

namespace {

constexpr std::uint64_t state_busy = 1;
constexpr std::uint64_t state_done = 2;
constexpr std::uint64_t round_mask = ~std::uint64_t{0xFFFF};  // generation and round of a word

std::uint64_t stride_of(const DomainHeader& header) noexcept {
    return (sizeof(CollectiveNode) + header.collective_bytes_max + 15) / 16 * 16;
}

std::byte* value_of(CollectiveNode& node) noexcept { return reinterpret_cast<std::byte*>(&node + 1); }
std::byte* value_of(CollectiveResult& entry) noexcept { return reinterpret_cast<std::byte*>(&entry + 1); }
const std::byte* value_of(const CollectiveResult& entry) noexcept {
    return reinterpret_cast<const std::byte*>(&entry + 1);
}

}  // namespace

void DomainState::find_collectives() {
    if (collectives_ != nullptr) return;
    const std::uint64_t stride = stride_of(*header_);
    std::uint64_t at = 0;
    level_sizes_.clear();
    level_offsets_.clear();
    for (std::uint32_t size = options_.vnodes;; size = (size + 1) / 2) {
        level_sizes_.push_back(size);
        level_offsets_.push_back(at);
        at += 2 * std::uint64_t{size} * stride;
        if (size == 1) break;
    }
    result_offset_ = at;
    const std::uint64_t bytes = at + 2 * std::uint64_t{result_ring_size} * stride;
    // Made when first needed, by one member; a domain without collectives does not pay for them.
    const MemberContext& context = runtime_->context;
    auto cell = find_once_cell(context.segment(), fmt::format("collectives/{}", name_));
    if (!cell) runtime_->raise(cell.error());
    for (;;) {
        const OnceStatus status = claim_once(
            **cell, {context.slot, context.incarnation},
            [&](std::uint32_t slot, std::uint32_t incarnation) { return context.seen_dead(slot, incarnation); });
        if (status == OnceStatus::recorded) break;
        if (status == OnceStatus::claimed) {
            auto place = context.arena().reserve(bytes);
            if (!place) runtime_->raise(place.error());
            record_once(**cell, *place, bytes);
            break;
        }
        context.throw_if_ended();
        sched_yield();  // somebody else is allocating it this very moment
    }
    collectives_ = context.arena().at((*cell)->result_offset);
}

std::uint64_t DomainState::done_word(std::uint32_t round) const noexcept {
    return std::uint64_t{generation_} << 48 | (std::uint64_t{round} + 1) << 16 | state_done;
}

CollectiveNode& DomainState::node(std::uint32_t level, std::uint32_t place, std::uint32_t round) const {
    const std::uint64_t index = 2 * std::uint64_t{place} + (round & 1);
    return *reinterpret_cast<CollectiveNode*>(collectives_ + level_offsets_[level] + index * stride_of(*header_));
}

CollectiveResult& DomainState::result(bool cast, std::uint32_t round) const {
    const std::uint64_t index = (cast ? result_ring_size : 0) + round % result_ring_size;
    return *reinterpret_cast<CollectiveResult*>(collectives_ + result_offset_ + index * stride_of(*header_));
}

// True if the place is ours to write now; false if it is complete, or a living member is at it.
bool DomainState::claim(std::atomic<std::uint64_t>& word, std::uint64_t done) const {
    const MemberContext& context = runtime_->context;
    const std::uint64_t busy = (done & round_mask) | std::uint64_t{context.slot} << 4 | state_busy;
    std::uint64_t seen = word.load(std::memory_order_acquire);
    for (;;) {
        if ((seen & round_mask) == (done & round_mask)) {
            if ((seen & 0xF) == state_done) return false;
            const auto holder = static_cast<std::uint32_t>(seen >> 4) & 0xFFF;
            if (holder != context.slot && !context.seen_dead(holder, context.segment().member(holder).incarnation))
                return false;
        }
        if (word.compare_exchange_strong(seen, busy, std::memory_order_acq_rel)) return true;
    }
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
        CollectiveResult& entry = result(false, round);
        const std::uint64_t done = done_word(round);
        if (entry.word.load(std::memory_order_acquire) != done) {
            make_room_for_round(self, false, round);
            deposit(self, round, values, size);
            climb(self, round, size, combine, context);
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
    CollectiveNode& leaf = node(0, self.index, round);
    const std::uint64_t done = done_word(round);
    if (leaf.word.load(std::memory_order_acquire) == done) {
        // Deposited by an execution that died: the same again, or the step is not deterministic.
        if (size != 0 && options_.recovery == Recovery::local && std::memcmp(value_of(leaf), value, size) != 0)
            runtime_->context.fail(Errc::not_deterministic,
                                   fmt::format("VNode {} of domain '{}' did not do the same again when its step {} was "
                                               "repeated: it gave another value to "
                                               "all_reduce {}. --verify-replay finds the place.",
                                               self.index, name_, self.step, round));
        return;
    }
    if (size != 0) std::memcpy(value_of(leaf), value, size);
    // Sequentially consistent: of two siblings that deposit at once at least one sees the other in climb().
    leaf.word.store(done, std::memory_order_seq_cst);
}

void DomainState::climb(VNodeState& self, std::uint32_t round, std::uint64_t size, Combine combine, void* context) {
    const std::uint64_t done = done_word(round);
    std::uint32_t place = self.index;
    std::vector<std::byte> combined(size);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (std::uint32_t level = 0; level + 1 < level_sizes_.size(); ++level, place /= 2) {
        const std::uint32_t left_place = place & ~1U;
        CollectiveNode& left = node(level, left_place, round);
        CollectiveNode* right = left_place + 1 < level_sizes_[level] ? &node(level, left_place + 1, round) : nullptr;
        if (left.word.load(std::memory_order_seq_cst) != done) return;
        if (right != nullptr && right->word.load(std::memory_order_seq_cst) != done) return;
        CollectiveNode& parent = node(level + 1, place / 2, round);
        if (!claim(parent.word, done)) {
            if (parent.word.load(std::memory_order_seq_cst) == done) continue;
            return;  // a living member is at it and climbs on
        }
        if (size != 0) {
            std::memcpy(combined.data(), value_of(left), size);
            if (right != nullptr) combine(context, combined.data(), value_of(*right));
            std::memcpy(value_of(parent), combined.data(), size);
        }
        parent.word.store(done, std::memory_order_seq_cst);
    }
    const auto top = static_cast<std::uint32_t>(level_sizes_.size() - 1);
    publish_result(result(false, round), done, value_of(node(top, 0, round)), size);
}

void DomainState::publish_result(CollectiveResult& entry, std::uint64_t done, const void* value, std::uint64_t size) {
    if (!claim(entry.word, done)) return;
    const std::uint32_t old = std::exchange(entry.extent, 0);
    if (old != 0) runtime_->pool.free(old);  // every VNode has committed beyond that round
    entry.size = static_cast<std::uint32_t>(size);
    if (size > header_->collective_bytes_max) {
        auto extent = runtime_->pool.allocate(size, ExtentKind::lasting, header_->index);
        if (!extent) runtime_->raise(extent.error());
        std::memcpy(runtime_->pool.data(*extent), value, size);
        entry.extent = *extent;
    } else if (size != 0) {
        std::memcpy(value_of(entry), value, size);
    }
    entry.word.store(done, std::memory_order_release);  // pairs with the acquire loads of whoever waits for the round
    ring_for_results();
}

void DomainState::ring_for_results() const noexcept {
    const MemberContext& context = runtime_->context;
    header_->collective_news.fetch_add(1, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with the fence in prepare_sleep
    const auto end =
        std::min<std::uint64_t>(context.header().next_order.load(std::memory_order_relaxed), member_count_max);
    for (std::uint32_t slot = 0; slot < end; ++slot)
        if (slot != context.slot) ring_if_sleeping(context.segment().member(slot));
}

void DomainState::read_result(VNodeState& self, const CollectiveResult& entry, void* to, std::uint64_t size) const {
    if (entry.size != size)
        fail_at(self, Errc::invalid_argument,
                fmt::format("a collective of {} bytes met one of {} bytes of another VNode: all VNodes must make the "
                            "same collectives in the same order",
                            size, entry.size));
    if (size != 0) std::memcpy(to, entry.extent != 0 ? runtime_->pool.data(entry.extent) : value_of(entry), size);
}

void DomainState::broadcast(VNodeState& self, std::uint32_t root, void* data, std::uint64_t size) {
    check_peer(self, "broadcast", root, 0);
    const std::uint32_t round = self.cast_round;
    if (self.trace && self.index == root) note(self, {2, round, 1, 0, size, XXH3_64bits(data, size)});
    if (options_.vnodes > 1) {
        find_collectives();
        CollectiveResult& entry = result(true, round);
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
