#include "runtime/fiber.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <cstdio>
#include <cstdlib>
#include <cxxabi.h>
#include <unistd.h>
#include <utility>

#if defined(__x86_64__)
#include <xmmintrin.h>
#else
#include <cfenv>
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PHOENIX_FIBER_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define PHOENIX_FIBER_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define PHOENIX_FIBER_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define PHOENIX_FIBER_TSAN 1
#endif
#if defined(PHOENIX_FIBER_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(PHOENIX_FIBER_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace phoenix {

namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

/// __cxa_eh_globals of the Itanium C++ ABI, section 2.2.2: the exceptions being handled by a thread, and how many
/// are in flight. The layout is part of the ABI; <cxxabi.h> only declares the name.
struct ExceptionState {
    void* caught{};
    unsigned int uncaught{};
};

ExceptionState* exception_state() noexcept { return reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals()); }

/// Rounding mode, exception masks, flush-to-zero. jump_fcontext keeps them per context on x86-64, but the next entry
/// on a reused fiber must not find what the one before it has set: results would depend on who ran there.
class FloatingPointState {
  public:
#if defined(__x86_64__)
    void capture() noexcept {
        mxcsr_ = _mm_getcsr();
        __asm__ volatile("fnstcw %0" : "=m"(x87_control_));
    }
    void apply() const noexcept {
        _mm_setcsr(mxcsr_);
        __asm__ volatile("fldcw %0" : : "m"(x87_control_));
    }

  private:
    unsigned int mxcsr_{};
    unsigned short x87_control_{};
#else
    void capture() noexcept { std::fegetenv(&environment_); }
    void apply() const noexcept { std::fesetenv(&environment_); }

  private:
    std::fenv_t environment_{};
#endif
};

enum class FiberState : unsigned char { idle, ready, running, suspended };

}  // namespace

class Fiber {
  public:
    fcontext_t context{};  // where it goes on; valid while not running
    fcontext_t resumer{};  // where it goes on suspend; valid while running
    void (*entry)(void*){};
    void* argument{};
    ExceptionState exceptions;
    FloatingPointState floating_point;
    FiberState state{FiberState::idle};
    FiberStack stack;
#if defined(PHOENIX_FIBER_ASAN)
    void* fake_stack{};
    const void* resumer_limit{};
    std::size_t resumer_size{};
#endif
#if defined(PHOENIX_FIBER_TSAN)
    void* tsan_fiber{};
    void* tsan_resumer{};
#endif
};

namespace {

thread_local Fiber* running_fiber = nullptr;

[[noreturn]] void overflowed(std::size_t stack_size_bytes) noexcept {
    std::fprintf(stderr,
                 "phoenix: stack overflow: a step used more than its %zu KiB of stack and overwrote its neighbour's; "
                 "run with a larger --stack-size, or keep large arrays in fields or on the heap (process %d ends)\n",
                 stack_size_bytes / 1024, static_cast<int>(getpid()));
    std::abort();
}

/// Inside a fiber, just arrived from its resumer.
void arrived(Fiber& fiber, fcontext_t from) noexcept {
    fiber.resumer = from;
#if defined(PHOENIX_FIBER_ASAN)
    __sanitizer_finish_switch_fiber(fiber.fake_stack, &fiber.resumer_limit, &fiber.resumer_size);
#endif
}

/// Inside a fiber: to its resumer; returns when it is resumed.
void leave(Fiber& fiber) noexcept {
#if defined(PHOENIX_FIBER_ASAN)
    __sanitizer_start_switch_fiber(&fiber.fake_stack, fiber.resumer_limit, fiber.resumer_size);
#endif
#if defined(PHOENIX_FIBER_TSAN)
    __tsan_switch_to_fiber(fiber.tsan_resumer, 0);
#endif
    const transfer_t transfer = jump_fcontext(fiber.resumer, nullptr);
    arrived(fiber, transfer.fctx);
}

/// Bottom frame of every fiber. A pooled fiber stays in this loop for ever; noexcept makes an exception that leaves
/// an entry end the process where it was thrown.
void fiber_main(transfer_t transfer) noexcept {
    auto& fiber = *static_cast<Fiber*>(transfer.data);
    arrived(fiber, transfer.fctx);
    while (true) {
        fiber.floating_point.apply();
        fiber.entry(fiber.argument);
        fiber.state = FiberState::idle;
        leave(fiber);
    }
}

void make_context(Fiber& fiber) noexcept {
    const auto size = static_cast<std::size_t>(fiber.stack.top - fiber.stack.limit);
    fiber.context = make_fcontext(fiber.stack.top, size, fiber_main);
#if defined(PHOENIX_FIBER_ASAN)
    fiber.fake_stack = nullptr;
#endif
#if defined(PHOENIX_FIBER_TSAN)
    fiber.tsan_fiber = __tsan_create_fiber(0);
#endif
}

void drop_context([[maybe_unused]] Fiber& fiber) noexcept {
#if defined(PHOENIX_FIBER_ASAN)
    // Frames that never return leave their red zones behind, which the next user of the stack would run into.
    const auto* low = static_cast<const std::byte*>(fiber.context);
    __asan_unpoison_memory_region(low, static_cast<std::size_t>(fiber.stack.top - low));
#endif
#if defined(PHOENIX_FIBER_TSAN)
    __tsan_destroy_fiber(fiber.tsan_fiber);
#endif
}

}  // namespace

FiberPool::FiberPool(Options options)
    : stacks_({.stack_size_bytes = options.stack_size_bytes,
               .stack_count_max = options.fiber_count_max,
               .guard_budget = options.guard_budget}),
      idle_stacks_kept_(options.idle_stacks_kept) {}

FiberPool::~FiberPool() {
    for (auto& fiber : fibers_) drop_context(*fiber);
}

Fiber* FiberPool::create() {
    if (fibers_.size() == idle_.capacity()) idle_.reserve(2 * fibers_.size() + 64);
    auto fiber = std::make_unique<Fiber>();
    const auto stack = stacks_.allocate();
    if (!stack) return nullptr;
    fiber->stack = *stack;
    make_context(*fiber);
    fibers_.push_back(std::move(fiber));
    return fibers_.back().get();
}

Fiber* FiberPool::acquire(void (*entry)(void*), void* argument) {
    Fiber* fiber = nullptr;
    if (idle_.empty()) {
        fiber = create();
        if (fiber == nullptr) return nullptr;
    } else {
        fiber = idle_.back();
        idle_.pop_back();
        trimmed_ = std::min(trimmed_, idle_.size());
    }
    fiber->entry = entry;
    fiber->argument = argument;
    fiber->state = FiberState::ready;
    in_use_peak_ = std::max(in_use_peak_, fibers_.size() - idle_.size());
    return fiber;
}

bool FiberPool::resume(Fiber* fiber) {
    PHOENIX_CHECK(fiber->state == FiberState::ready || fiber->state == FiberState::suspended);
    if (fiber->state == FiberState::ready) fiber->floating_point.capture();
    fiber->state = FiberState::running;

    Fiber* const outer = std::exchange(running_fiber, fiber);
    ExceptionState* const exceptions = exception_state();
    if (thread_ == nullptr) thread_ = exceptions;
    PHOENIX_CHECK_NOTE(thread_ == exceptions, "a fiber was resumed on another thread than its pool's");
    const ExceptionState outer_exceptions = std::exchange(*exceptions, fiber->exceptions);
#if defined(PHOENIX_FIBER_ASAN)
    void* fake_stack = nullptr;
    __sanitizer_start_switch_fiber(&fake_stack, fiber->stack.limit,
                                   static_cast<std::size_t>(fiber->stack.top - fiber->stack.limit));
#endif
#if defined(PHOENIX_FIBER_TSAN)
    fiber->tsan_resumer = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber->tsan_fiber, 0);
#endif
    fiber->context = jump_fcontext(fiber->context, fiber).fctx;
#if defined(PHOENIX_FIBER_ASAN)
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
    fiber->exceptions = std::exchange(*exceptions, outer_exceptions);
    running_fiber = outer;

    if (!FiberStacks::intact(fiber->stack)) [[unlikely]]
        overflowed(stacks_.stack_size_bytes());
    if (fiber->state == FiberState::suspended) return false;
    put_back(fiber);
    return true;
}

void FiberPool::suspend() noexcept {
    Fiber* const fiber = running_fiber;
    PHOENIX_CHECK_NOTE(fiber != nullptr, "suspend() outside of a fiber");
    fiber->state = FiberState::suspended;
    leave(*fiber);
}

Fiber* FiberPool::current() noexcept { return running_fiber; }

void FiberPool::abandon(Fiber* fiber) {
    PHOENIX_CHECK(fiber->state == FiberState::ready || fiber->state == FiberState::suspended);
    drop_context(*fiber);
    make_context(*fiber);
    fiber->exceptions = {};
    fiber->state = FiberState::idle;
    put_back(fiber);
}

void FiberPool::put_back(Fiber* fiber) {
    idle_.push_back(fiber);
    // Stacks that a whole window did not need lie at the bottom. A window of several times the number of fibers
    // makes the calls to the system rare, whatever the pattern of use.
    constexpr std::size_t window_min = 4096;
    if (++finishes_in_window_ < std::max(window_min, 4 * fibers_.size())) return;
    trim_to(std::max(idle_stacks_kept_, in_use_peak_));
    finishes_in_window_ = 0;
    in_use_peak_ = fibers_.size() - idle_.size();
}

void FiberPool::trim_to(std::size_t stacks_kept) noexcept {
    const std::size_t end = idle_.size() > stacks_kept ? idle_.size() - stacks_kept : 0;
    for (; trimmed_ < end; ++trimmed_) FiberStacks::discard(idle_[trimmed_]->stack, idle_[trimmed_]->context);
}

void FiberPool::trim() noexcept { trim_to(idle_stacks_kept_); }

FiberPool::Usage FiberPool::usage() const noexcept {
    return {.created = fibers_.size(), .in_use = fibers_.size() - idle_.size(), .trimmed = trimmed_};
}

}  // namespace phoenix
