#pragma once
/// Stackful fibers: one step of one VNode runs on one, so that a receive that has to wait lets other VNodes run.

#include "runtime/fiber_stacks.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace phoenix {

class Fiber;

/// Pool of stackful fibers of one worker thread. Not thread-safe: a fiber runs on the thread that owns the pool and
/// on no other, because compilers keep addresses of thread-local variables in registers across calls.
///
/// Life of a fiber: idle -acquire-> ready -resume-> running <-suspend/resume-> suspended; from running its entry
/// returns, or from suspended it is abandoned, and it is idle again with its stack. Each fiber has its own exception
/// state and floating-point control state (rounding mode); an entry starts with those of its first resumer.
///
/// Not allowed across suspend(): holding a lock of the thread, being inside an OpenMP region, a blocking MPI call.
class FiberPool {
  public:
    struct Options {
        std::size_t stack_size_bytes{std::size_t{1} << 20U};  ///< Virtual; memory is used as touched.
        std::size_t fiber_count_max{std::size_t{1} << 20U};
        std::size_t guard_budget{16'000};  ///< Stacks with a guard page; the ones beyond have canaries.
        std::size_t idle_stacks_kept{64};  ///< Idle stacks that keep their memory whatever happens.
    };

    /// Figures for status output and tests.
    struct Usage {
        std::size_t created{};  ///< Fibers, hence stacks, that exist.
        std::size_t in_use{};   ///< Of these ready, running or suspended.
        std::size_t trimmed{};  ///< Of the idle ones those whose stack memory went back to the system.
    };

    explicit FiberPool(Options options);
    FiberPool(const FiberPool&) = delete;
    FiberPool& operator=(const FiberPool&) = delete;
    /// Suspended fibers are dropped without unwinding.
    ~FiberPool();

    /// A fiber ready to be resumed, which will run `entry(argument)`. `entry` must not throw (std::terminate).
    ///
    /// @returns nullptr if fiber_count_max are in use or the system refuses address space: let others finish first.
    /// @cost    A few ns if a fiber is idle; some microseconds for a new one.
    [[nodiscard]] Fiber* acquire(void (*entry)(void*), void* argument);

    /// Runs `fiber` until it suspends or its entry returns. True: finished, it is back in the pool, forget it.
    /// May be called inside another fiber.
    bool resume(Fiber* fiber);

    /// Called inside a fiber: back to whoever resumed it; returns when it is resumed again.
    static void suspend() noexcept;

    /// The running fiber of this thread, nullptr outside of any.
    [[nodiscard]] static Fiber* current() noexcept;

    /// Puts a ready or suspended fiber back without unwinding its stack: no destructor on it runs. For stacks of C and
    /// Fortran, which cannot be unwound.
    void abandon(Fiber* fiber);

    /// Gives the memory of all idle stacks but idle_stacks_kept back to the system at once. Otherwise this happens by
    /// itself, to stacks that were not needed during a long window of use.
    void trim() noexcept;

    /// True if `address` lies in a guard page: the fault was a stack overflow. Async-signal-safe.
    [[nodiscard]] bool is_guard_page(const void* address) const noexcept { return stacks_.is_guard_page(address); }

    [[nodiscard]] Usage usage() const noexcept;

  private:
    [[nodiscard]] Fiber* create();
    void put_back(Fiber* fiber);
    void trim_to(std::size_t stacks_kept) noexcept;

    FiberStacks stacks_;
    std::size_t idle_stacks_kept_;
    std::vector<std::unique_ptr<Fiber>> fibers_;
    // Last in, first out: the top has warm stacks, [0, trimmed_) have given theirs back. Capacity for all fibers is
    // reserved on creation, so that finishing never allocates.
    std::vector<Fiber*> idle_;
    std::size_t trimmed_{};
    std::size_t in_use_peak_{};  // within the current window
    std::size_t finishes_in_window_{};
    const void* thread_{};  // address of a thread-local of the only thread that may resume, known from the first time
};

}  // namespace phoenix
