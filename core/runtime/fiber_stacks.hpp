#pragma once
/// Stacks of the fibers of one worker thread: address space in a few growing regions, memory only where touched.

#include <array>
#include <atomic>
#include <cstddef>
#include <optional>

namespace phoenix {

/// One stack; it grows down from `top` to `limit`. Plain view, the memory belongs to FiberStacks.
struct FiberStack {
    std::byte* limit{};         ///< Lowest usable byte.
    std::byte* top{};           ///< One past the highest usable byte, 64-byte aligned.
    const std::byte* canary{};  ///< What an overflow destroys first, or nullptr where a guard page catches it.
};

/// Hands out stacks; never takes one back before its own end (FiberPool reuses them). Not thread-safe, except
/// is_guard_page.
///
/// Layout of a region of n stacks, addresses growing to the right; an overflow runs to the left:
///
///     | guard area | stack 0 ... canary | guard area | stack 1 ... canary | ...
///
/// The guard area is made inaccessible for the first stack of each region and up to the budget for others: each one
/// costs the kernel two mappings of the 65,530 a process may have. Beyond the budget the area is plain stack, and an
/// overflow of stack i+1 shows as a destroyed canary at the end of stack i. The canary lies there, and not at the
/// bottom of the stack it protects, because that page is in use anyway while the bottom one is hardly ever touched.
class FiberStacks {
  public:
    struct Options {
        std::size_t stack_size_bytes{std::size_t{1} << 20U};  ///< Rounded up to pages, at least 16 KiB.
        std::size_t stack_count_max{std::size_t{1} << 20U};
        std::size_t guard_budget{16'000};                      ///< Stacks with a guard of their own.
        std::size_t guard_size_bytes{std::size_t{64} << 10U};  ///< More than a page: large frames jump over one.
    };

    explicit FiberStacks(Options options) noexcept;
    FiberStacks(const FiberStacks&) = delete;
    FiberStacks& operator=(const FiberStacks&) = delete;
    ~FiberStacks();

    /// A stack never used before; nothing if the maximum is reached or the system refuses address space.
    [[nodiscard]] std::optional<FiberStack> allocate() noexcept;

    /// False if something ran over the end of `stack`. Always true where a guard page would have caught it.
    [[nodiscard]] static bool intact(const FiberStack& stack) noexcept;

    /// Gives the memory of `stack` below `keep_from` back to the system; it reads as zeros later.
    static void discard(const FiberStack& stack, const void* keep_from) noexcept;

    /// True if `address` lies in a guard: "stack overflow" for a SIGSEGV handler. Async-signal-safe.
    [[nodiscard]] bool is_guard_page(const void* address) const noexcept;

    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] std::size_t stack_size_bytes() const noexcept { return options_.stack_size_bytes; }

  private:
    struct Region {
        std::byte* base{};
        std::size_t stacks{};
        std::size_t used{};
        std::atomic<std::size_t> guarded{};  // stacks [0, guarded) have an inaccessible guard area
    };

    [[nodiscard]] bool grow() noexcept;
    void try_to_guard(Region& region) noexcept;

    Options options_;
    std::size_t stride_bytes_{};
    std::size_t count_{};
    std::size_t guards_{};
    // Regions double in size, so that 2^20 stacks need few and a small job reserves little (batch systems limit
    // address space).
    std::array<Region, 32> regions_;
    std::atomic<std::size_t> region_count_{};
};

}  // namespace phoenix
