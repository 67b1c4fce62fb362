#include "runtime/fiber_stacks.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace phoenix {

namespace {

constexpr std::size_t first_region_stacks = 64;
constexpr std::size_t stack_size_min = std::size_t{16} << 10U;
constexpr std::size_t canary_size = 64;
constexpr std::uint64_t canary_word = 0x9E3779B97F4A7C15ULL;

std::size_t page_size() noexcept {
    static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return size;
}

// A guarded stack takes two mappings, and the kernel allows a process a fixed number of them. Half of that is left to
// everybody else: once all are gone not even malloc gets memory.
std::size_t guards_that_leave_room() noexcept {
    std::size_t mappings_max = 65'530;  // the kernel's default
    if (std::FILE* file = std::fopen("/proc/sys/vm/max_map_count", "re")) {
        if (std::fscanf(file, "%zu", &mappings_max) != 1) mappings_max = 65'530;
        std::fclose(file);
    }
    return mappings_max / 4;
}

std::size_t in_pages(std::size_t bytes) noexcept { return (bytes + page_size() - 1) / page_size() * page_size(); }

}  // namespace

FiberStacks::FiberStacks(Options options) noexcept : options_(options) {
    options_.stack_size_bytes = in_pages(std::max(options_.stack_size_bytes, stack_size_min));
    options_.guard_size_bytes = in_pages(std::max<std::size_t>(options_.guard_size_bytes, 1));
    stride_bytes_ = options_.guard_size_bytes + options_.stack_size_bytes;
    options_.guard_budget = std::min(options_.guard_budget, guards_that_leave_room());
}

FiberStacks::~FiberStacks() {
    const std::size_t regions = region_count_.exchange(0, std::memory_order_relaxed);  // no handler of ours runs now
    for (std::size_t i = 0; i < regions; ++i) munmap(regions_[i].base, regions_[i].stacks * stride_bytes_);
}

bool FiberStacks::grow() noexcept {
    const std::size_t index = region_count_.load(std::memory_order_relaxed);  // only this thread writes it
    if (index == regions_.size()) return false;
    const std::size_t stacks = std::min(first_region_stacks << index, options_.stack_count_max - count_);
    const std::size_t bytes = stacks * stride_bytes_;
    void* base = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED) return false;
    Region& region = regions_[index];
    region.base = static_cast<std::byte*>(base);
    if (mprotect(region.base + options_.guard_size_bytes, bytes - options_.guard_size_bytes, PROT_READ | PROT_WRITE) !=
        0) {
        munmap(base, bytes);
        return false;
    }
    // A huge page would back two stacks with 2 MiB where 8 KiB are touched. Refused without THP, which is as good.
    // MADV_DONTDUMP and MADV_DONTFORK are not set on purpose: a core dump without the stack that crashed says
    // nothing, and a child that a step forks goes on on that very stack.
    madvise(base, bytes, MADV_NOHUGEPAGE);
    region.stacks = stacks;
    region.used = 0;
    region.guarded.store(1, std::memory_order_relaxed);  // published with region_count_ below
    ++guards_;
    // Pairs with the acquire load in is_guard_page, which may run in a handler on another thread.
    region_count_.store(index + 1, std::memory_order_release);
    return true;
}

void FiberStacks::try_to_guard(Region& region) noexcept {
    if (guards_ >= options_.guard_budget || region.guarded.load(std::memory_order_relaxed) != region.used) return;
    std::byte* guard = region.base + region.used * stride_bytes_;
    if (mprotect(guard, options_.guard_size_bytes, PROT_NONE) != 0) {
        // The process has used up its mappings. Canaries from here on; trying again would only cost time.
        options_.guard_budget = 0;
        return;
    }
    ++guards_;
    region.guarded.store(region.used + 1, std::memory_order_release);  // pairs with is_guard_page
}

std::optional<FiberStack> FiberStacks::allocate() noexcept {
    if (count_ >= options_.stack_count_max) return std::nullopt;
    std::size_t last = region_count_.load(std::memory_order_relaxed);  // only this thread writes it
    if (last == 0 || regions_[last - 1].used == regions_[last - 1].stacks) {
        if (!grow()) return std::nullopt;
        ++last;
    }
    Region& region = regions_[last - 1];
    if (region.used > 0) try_to_guard(region);
    std::byte* slot = region.base + region.used * stride_bytes_;
    FiberStack stack;
    if (region.used < region.guarded.load(std::memory_order_relaxed)) {
        stack.limit = slot + options_.guard_size_bytes;
    } else {
        stack.limit = slot;
        stack.canary = slot - canary_size;
    }
    stack.top = slot + stride_bytes_ - canary_size;
    for (std::size_t i = 0; i < canary_size; i += sizeof canary_word) {
        std::memcpy(stack.top + i, &canary_word, sizeof canary_word);
    }
    ++region.used;
    ++count_;
    return stack;
}

bool FiberStacks::intact(const FiberStack& stack) noexcept {
    if (stack.canary == nullptr) return true;
    std::uint64_t words[canary_size / sizeof(std::uint64_t)];
    std::memcpy(words, stack.canary, canary_size);
    std::uint64_t difference = 0;
    for (const std::uint64_t word : words) difference |= word ^ canary_word;
    return difference == 0;
}

void FiberStacks::discard(const FiberStack& stack, const void* keep_from) noexcept {
    const auto keep = reinterpret_cast<std::uintptr_t>(keep_from) / page_size() * page_size();
    const auto limit = reinterpret_cast<std::uintptr_t>(stack.limit);
    // A refusal leaves the memory in use and nothing wrong.
    if (keep > limit) madvise(stack.limit, keep - limit, MADV_DONTNEED);
}

bool FiberStacks::is_guard_page(const void* address) const noexcept {
    const auto target = reinterpret_cast<std::uintptr_t>(address);
    const std::size_t regions = region_count_.load(std::memory_order_acquire);  // pairs with grow
    for (std::size_t i = 0; i < regions; ++i) {
        const auto base = reinterpret_cast<std::uintptr_t>(regions_[i].base);
        if (target < base || target - base >= regions_[i].stacks * stride_bytes_) continue;
        const std::size_t offset = target - base;
        return offset % stride_bytes_ < options_.guard_size_bytes &&
               offset / stride_bytes_ < regions_[i].guarded.load(std::memory_order_acquire);  // pairs with try_to_guard
    }
    return false;
}

}  // namespace phoenix
