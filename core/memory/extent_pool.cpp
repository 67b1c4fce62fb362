#include "memory/extent_pool.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace phoenix {

namespace {

constexpr std::uint64_t carve_bytes = 1ULL << 20;  // small extents are born in groups of about this size

bool counts_as_held(ExtentKind kind) noexcept { return kind == ExtentKind::chunk || kind == ExtentKind::payload; }

}  // namespace

ExtentOwner ExtentOwner::unpack(std::uint64_t word) noexcept {
    return {static_cast<ExtentKind>(word & 0xF), static_cast<std::uint32_t>(word >> 4) & 0xFFF,
            static_cast<std::uint32_t>(word >> 16) & 0x3F, static_cast<std::uint32_t>(word >> 22) & 0xFFFFFF,
            static_cast<std::uint32_t>(word >> 46)};
}

std::uint64_t ExtentOwner::pack() const noexcept {
    return static_cast<std::uint64_t>(kind) | std::uint64_t{slot & 0xFFF} << 4 | std::uint64_t{domain & 0x3F} << 16 |
           std::uint64_t{vnode & 0xFFFFFF} << 22 | std::uint64_t{version & 0x3FFFF} << 46;
}

void ExtentPool::assign(ExtentId id, ExtentKind kind, std::uint32_t domain, std::uint32_t vnode) noexcept {
    ExtentEntry& it = entry(id);
    const ExtentOwner before = ExtentOwner::unpack(it.owner.load(std::memory_order_relaxed));  // ours alone here
    if (counts_as_held(kind)) held_bytes_ += size(id);
    // Release: a sweeper that sees the new owner also sees what the entry describes.
    it.owner.store(ExtentOwner{kind, own_slot_, domain, vnode, before.version + 1}.pack(), std::memory_order_release);
    // Whoever scans the old use and meets bytes of the new one also meets the new owner: pairs with scan_chunk's fence.
    std::atomic_thread_fence(std::memory_order_release);
}

tl::expected<ExtentId, Failure> ExtentPool::allocate(std::uint64_t bytes, ExtentKind kind, std::uint32_t domain,
                                                     std::uint32_t vnode) {
    const unsigned size_class = class_of(bytes);
    if (size_class > class_max)
        return tl::unexpected(
            Failure{Errc::no_memory, fmt::format("{} bytes are more than one piece of shared memory holds.", bytes)});
    ExtentId id = 0;
    if (auto& cached = cache_[size_class]; !cached.empty()) {
        id = cached.back();
        cached.pop_back();
    } else {
        id = pop_free(size_class);
        if (id == 0) {
            auto carved = carve(size_class);
            if (!carved) return carved;
            id = *carved;
        }
    }
    assign(id, kind, domain, vnode);
    return id;
}

void ExtentPool::free(ExtentId id) noexcept {
    ExtentEntry& it = entry(id);
    const ExtentOwner owner = ExtentOwner::unpack(it.owner.load(std::memory_order_relaxed));  // ours to free
    if (counts_as_held(owner.kind)) held_bytes_ -= std::min(held_bytes_, size(id));
    auto& cached = cache_[it.size_class];
    if (cached.size() < cached_max && it.size_class < 26) {
        assign(id, ExtentKind::cached, 0, 0);
        cached.push_back(id);
        return;
    }
    assign(id, ExtentKind::free, 0, 0);
    push_free(id);
}

bool ExtentPool::free_swept(ExtentId id, std::uint64_t expected) noexcept {
    const ExtentOwner before = ExtentOwner::unpack(expected);
    const std::uint64_t freed = ExtentOwner{ExtentKind::free, before.slot, 0, 0, before.version + 1}.pack();
    if (!entry(id).owner.compare_exchange_strong(expected, freed, std::memory_order_acq_rel)) return false;
    push_free(id);
    return true;
}

void ExtentPool::disown(ExtentId id, std::uint64_t expected) noexcept {
    ExtentOwner owner = ExtentOwner::unpack(expected);
    owner.slot = nobodys_slot;
    // Nothing of it changes but the name. Who assigns it meanwhile, because it was about to be used again, prevails.
    entry(id).owner.compare_exchange_strong(expected, owner.pack(), std::memory_order_acq_rel);
}

ExtentId ExtentPool::pop_free(unsigned size_class) noexcept {
    std::atomic<std::uint64_t>& head = segment_->header().free_extents[size_class];
    std::uint64_t seen = head.load(std::memory_order_acquire);
    while ((seen & 0xFFFFFFFF) != 0) {
        const auto id = static_cast<ExtentId>(seen);
        // The tag in the upper half changes with every pop and push: a head that came back is not taken for the same.
        const std::uint64_t next = ((seen >> 32 << 32) + (1ULL << 32)) | entry(id).next.load(std::memory_order_relaxed);
        if (head.compare_exchange_weak(seen, next, std::memory_order_acq_rel)) return id;
    }
    return 0;
}

void ExtentPool::push_free(ExtentId id) noexcept {
    ExtentEntry& it = entry(id);
    std::atomic<std::uint64_t>& head = segment_->header().free_extents[it.size_class];
    std::uint64_t seen = head.load(std::memory_order_relaxed);  // validated by the exchange
    std::uint64_t next = 0;
    do {
        it.next.store(static_cast<std::uint32_t>(seen), std::memory_order_relaxed);  // published by the exchange
        next = ((seen >> 32 << 32) + (1ULL << 32)) | id;
    } while (!head.compare_exchange_weak(seen, next, std::memory_order_acq_rel));
}

tl::expected<ExtentId, Failure> ExtentPool::carve(unsigned size_class) {
    const std::uint64_t size = std::uint64_t{1} << size_class;
    const auto wanted = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, carve_bytes / size));
    auto memory = arena_->reserve(size * wanted);
    if (!memory) return tl::unexpected(std::move(memory.error()));
    std::atomic<std::uint32_t>& count = segment_->header().extent_count;
    std::uint32_t first = count.load(std::memory_order_acquire);
    do {
        if (first + wanted >= extent_count_max)
            return tl::unexpected(
                Failure{Errc::no_memory,
                        "The table of shared-memory extents is full; use fewer VNodes or fewer resizable fields."});
        // Pages of the table that are there already are left as they are, so repeating this is harmless.
        const std::uint64_t begin = extent_table_offset + (std::uint64_t{first} + 1) * sizeof(ExtentEntry);
        const std::uint64_t page = begin / arena_alignment * arena_alignment;
        auto done = arena_->allocate(page, begin - page + std::uint64_t{wanted} * sizeof(ExtentEntry));
        if (!done) return tl::unexpected(std::move(done.error()));
    } while (!count.compare_exchange_weak(first, first + wanted, std::memory_order_acq_rel));
    for (std::uint32_t index = 0; index < wanted; ++index) {
        ExtentEntry& it = entry(first + 1 + index);
        it.offset = *memory + index * size;
        it.size_class = size_class;
        it.owner.store(ExtentOwner{ExtentKind::free, own_slot_, 0, 0, 0}.pack(), std::memory_order_release);
        if (index > 0) push_free(first + 1 + index);
    }
    return first + 1;
}

}  // namespace phoenix
