#include "runtime/collective_memory.hpp"

#include "memory/once_cells.hpp"
#include "messaging/doorbell.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <sched.h>
#include <utility>

namespace phoenix {

tl::expected<void, Failure> CollectiveMemory::find(const MemberContext& context, ExtentPool& pool,
                                                   DomainHeader& header) {
    if (found()) return {};
    context_ = &context;
    pool_ = &pool;
    header_ = &header;
    stride_ = (sizeof(CollectiveNode) + header.collective_bytes_max + 15) / 16 * 16;
    std::uint64_t at = 0;
    sizes_.clear();
    offsets_.clear();
    for (std::uint32_t size = header.vnodes;; size = (size + 1) / 2) {
        sizes_.push_back(size);
        offsets_.push_back(at);
        at += 2 * std::uint64_t{size} * stride_;
        if (size == 1) break;
    }
    result_offset_ = at;
    const std::uint64_t bytes = at + 2 * std::uint64_t{result_ring_size} * stride_;
    auto cell = find_once_cell(context.segment(), fmt::format("collectives/{}", header.name.data()));
    if (!cell) return tl::unexpected(std::move(cell.error()));
    for (;;) {
        const OnceStatus status = claim_once(
            **cell, {context.slot, context.incarnation},
            [&](std::uint32_t slot, std::uint32_t incarnation) { return context.seen_dead(slot, incarnation); });
        if (status == OnceStatus::recorded) break;
        if (status == OnceStatus::claimed) {
            auto place = context.arena().reserve(bytes);
            if (!place) return tl::unexpected(std::move(place.error()));
            record_once(**cell, *place, bytes);
            break;
        }
        if (!context.job_running()) return refusal(Errc::interrupted, "The job has ended.");
        sched_yield();  // somebody else is allocating it this very moment
    }
    base_ = context.arena().at((*cell)->result_offset);
    header.collectives.store((*cell)->result_offset, std::memory_order_release);  // the same whoever stores it
    return {};
}

CollectiveNode& CollectiveMemory::node(std::uint32_t level, std::uint32_t place, std::uint32_t round) const noexcept {
    const std::uint64_t index = 2 * std::uint64_t{place} + (round & 1);
    return *reinterpret_cast<CollectiveNode*>(base_ + offsets_[level] + index * stride_);
}

CollectiveResult& CollectiveMemory::result(bool cast, std::uint32_t round) const noexcept {
    const std::uint64_t index = (cast ? result_ring_size : 0) + round % result_ring_size;
    return *reinterpret_cast<CollectiveResult*>(base_ + result_offset_ + index * stride_);
}

bool CollectiveMemory::claim(std::atomic<std::uint64_t>& word, std::uint64_t done) const {
    const std::uint64_t busy = (done & round_mask) | std::uint64_t{context_->slot} << 4 | state_busy;
    std::uint64_t seen = word.load(std::memory_order_acquire);
    for (;;) {
        if ((seen & round_mask) > (done & round_mask)) return false;  // that round is long over
        if ((seen & round_mask) == (done & round_mask)) {
            if (is_done(seen)) return false;
            const auto holder = static_cast<std::uint32_t>(seen >> 4) & 0xFFF;
            if (holder != context_->slot && !context_->slot_is_gone(holder)) return false;
        }
        if (word.compare_exchange_strong(seen, busy, std::memory_order_acq_rel)) return true;
    }
}

tl::expected<void, Failure> CollectiveMemory::publish(CollectiveResult& entry, std::uint64_t done, const void* value,
                                                      std::uint64_t size) const {
    if (!claim(entry.word, done)) return {};
    const std::uint32_t old = std::exchange(entry.extent, 0);
    if (old != 0) pool_->free(old);  // every VNode has committed beyond that round
    entry.size = static_cast<std::uint32_t>(size);
    if (size > header_->collective_bytes_max) {
        auto extent = pool_->allocate(size, ExtentKind::lasting, header_->index);
        if (!extent) return tl::unexpected(std::move(extent.error()));
        std::memcpy(pool_->data(*extent), value, size);
        entry.extent = *extent;
    } else if (size != 0) {
        std::memcpy(reinterpret_cast<std::byte*>(&entry + 1), value, size);
    }
    entry.word.store(done, std::memory_order_release);  // pairs with the acquire loads of whoever waits for the round
    ring();
    return {};
}

void CollectiveMemory::ring() const noexcept {
    header_->collective_news.fetch_add(1, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with the fence in prepare_sleep
    // Relaxed: one whose ticket is not seen looks for itself when it begins. See ring_members.
    const auto end =
        std::min<std::uint64_t>(context_->header().next_order.load(std::memory_order_relaxed), member_count_max);
    for (std::uint32_t slot = 0; slot < end; ++slot)
        if (slot != context_->slot) ring_if_sleeping(context_->segment().member(slot));
    context_->ring_port();
}

}  // namespace phoenix
