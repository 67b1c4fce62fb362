#include "runtime/fiber.hpp"

#include <cfenv>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace phoenix {
namespace {

void call(void* function) { (*static_cast<std::function<void()>*>(function))(); }

Fiber* start(FiberPool& pool, std::function<void()>& body) { return pool.acquire(call, &body); }

void run_to_end(FiberPool& pool, Fiber* fiber) {
    while (!pool.resume(fiber)) {
    }
}

std::size_t resident_pages(const void* begin, const void* end) {
    const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto first = reinterpret_cast<std::uintptr_t>(begin) / page * page;
    std::vector<unsigned char> in_core((reinterpret_cast<std::uintptr_t>(end) - first + page - 1) / page);
    EXPECT_EQ(mincore(reinterpret_cast<void*>(first), in_core.size() * page, in_core.data()), 0);
    std::size_t count = 0;
    for (const unsigned char flags : in_core) count += flags & 1U;
    return count;
}

/// Uses the stack down to `bytes` below `from`, whatever size the compiler gives a frame.
[[gnu::noinline]] std::size_t dig(const volatile char* from, std::size_t bytes) {
    volatile char here[256];
    for (std::size_t i = 0; i < sizeof here; ++i) here[i] = static_cast<char>(i);
    if (static_cast<std::size_t>(from - here) >= bytes) return 1;
    return dig(from, bytes) + static_cast<std::size_t>(here[1]);
}

void dig_from_here(std::size_t bytes) {
    volatile char here = 0;
    EXPECT_GT(dig(&here, bytes), 0U);
}

TEST(Fiber, RunsToItsEndAndSuspendsWhereItIsTold) {
    FiberPool pool{{}};
    std::vector<int> order;
    std::function<void()> body = [&] {
        order.push_back(1);
        FiberPool::suspend();
        order.push_back(3);
    };
    Fiber* fiber = start(pool, body);
    EXPECT_FALSE(pool.resume(fiber));
    order.push_back(2);
    EXPECT_TRUE(pool.resume(fiber));
    EXPECT_THAT(order, testing::ElementsAre(1, 2, 3));
    EXPECT_EQ(pool.usage().in_use, 0U);
}

TEST(Fiber, CurrentIsTheRunningFiberAndNothingOutside) {
    FiberPool pool{{}};
    Fiber* seen_before = nullptr;
    Fiber* seen_after = nullptr;
    std::function<void()> body = [&] {
        seen_before = FiberPool::current();
        FiberPool::suspend();
        seen_after = FiberPool::current();
    };
    Fiber* fiber = start(pool, body);
    EXPECT_EQ(FiberPool::current(), nullptr);
    run_to_end(pool, fiber);
    EXPECT_EQ(FiberPool::current(), nullptr);
    EXPECT_EQ(seen_before, fiber);
    EXPECT_EQ(seen_after, fiber);
}

TEST(Fiber, AFiberMayResumeAnother) {
    FiberPool pool{{}};
    std::vector<int> order;
    std::function<void()> inner_body = [&] {
        order.push_back(2);
        FiberPool::suspend();
        order.push_back(5);
    };
    Fiber* inner = start(pool, inner_body);
    std::function<void()> outer_body = [&] {
        order.push_back(1);
        pool.resume(inner);
        order.push_back(3);
        FiberPool::suspend();  // goes to the test, not into the inner one
        order.push_back(6);
    };
    Fiber* outer = start(pool, outer_body);
    EXPECT_FALSE(pool.resume(outer));
    order.push_back(4);
    EXPECT_TRUE(pool.resume(inner));
    EXPECT_TRUE(pool.resume(outer));
    EXPECT_THAT(order, testing::ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(Fiber, AHundredThousandStepsThatDoNotSuspendShareOneStack) {
    FiberPool pool{{}};
    std::size_t steps = 0;
    const void* first_frame = nullptr;
    bool same_frame = true;
    std::function<void()> body = [&] {
        const char here = 0;
        if (first_frame == nullptr) first_frame = &here;
        same_frame = same_frame && first_frame == &here;
        ++steps;
    };
    for (int i = 0; i < 100'000; ++i) ASSERT_TRUE(pool.resume(start(pool, body)));
    EXPECT_EQ(steps, 100'000U);
    EXPECT_EQ(pool.usage().created, 1U);
#if !defined(__SANITIZE_ADDRESS__)  // whose frames may lie on stacks of its own
    EXPECT_TRUE(same_frame);
#endif
}

TEST(Fiber, TwoThousandWaitAtOnceAndKeepTheirLocals) {
    FiberPool pool{{}};
    constexpr std::size_t count = 2000;
    std::vector<std::size_t> sums(count);
    std::vector<std::function<void()>> bodies(count);
    std::vector<Fiber*> fibers;
    for (std::size_t i = 0; i < count; ++i) {
        bodies[i] = [&sums, i] {
            volatile std::size_t local = i;
            for (std::size_t round = 0; round < 5; ++round) {
                FiberPool::suspend();
                local = local + i;
            }
            sums[i] = local;
        };
        fibers.push_back(start(pool, bodies[i]));
    }
    for (int round = 0; round < 5; ++round) {
        for (Fiber* fiber : fibers) ASSERT_FALSE(pool.resume(fiber));
    }
    EXPECT_EQ(pool.usage().in_use, count);
    for (Fiber* fiber : fibers) ASSERT_TRUE(pool.resume(fiber));
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(sums[i], 6 * i);
    EXPECT_EQ(pool.usage().created, count);
    EXPECT_EQ(pool.usage().in_use, 0U);
}

TEST(Fiber, EachKeepsTheExceptionItHandlesAcrossSuspends) {
    FiberPool pool{{}};
    std::string rethrown[2];
    auto body_of = [&rethrown](std::size_t index) {
        return [&rethrown, index] {
            try {
                try {
                    throw std::runtime_error(index == 0 ? "zero" : "one");
                } catch (const std::exception&) {
                    FiberPool::suspend();
                    throw;
                }
            } catch (const std::exception& error) {
                FiberPool::suspend();
                rethrown[index] = error.what();
            }
        };
    };
    std::function<void()> zero = body_of(0);
    std::function<void()> one = body_of(1);
    Fiber* a = start(pool, zero);
    Fiber* b = start(pool, one);
    // Entered a, b and left a, b: without the switch of the handler stacks each would rethrow the other's.
    EXPECT_FALSE(pool.resume(a));
    EXPECT_FALSE(pool.resume(b));
    EXPECT_EQ(std::current_exception(), nullptr) << "a fiber's exception shows outside";
    EXPECT_FALSE(pool.resume(a));
    EXPECT_FALSE(pool.resume(b));
    EXPECT_TRUE(pool.resume(a));
    EXPECT_TRUE(pool.resume(b));
    EXPECT_EQ(rethrown[0], "zero");
    EXPECT_EQ(rethrown[1], "one");
}

TEST(Fiber, UncaughtExceptionCountBelongsToTheFiber) {
    FiberPool pool{{}};
    struct Waiter {
        ~Waiter() { FiberPool::suspend(); }
    };
    std::function<void()> body = [] {
        try {
            const Waiter waiter;  // suspends while the exception is in flight
            throw 1;
        } catch (int) {
        }
    };
    Fiber* fiber = start(pool, body);
    EXPECT_FALSE(pool.resume(fiber));
    EXPECT_EQ(std::uncaught_exceptions(), 0);
    EXPECT_TRUE(pool.resume(fiber));
}

TEST(FiberDeathTest, AnExceptionThatLeavesItsEntryTerminates) {
    EXPECT_DEATH(
        {
            FiberPool pool{{}};
            std::function<void()> body = [] { throw std::runtime_error("left the entry"); };
            pool.resume(start(pool, body));
        },
        "left the entry");
}

TEST(Fiber, RoundingModeStaysWithTheFiberAndIsNotInherited) {
    FiberPool pool{{}};
    ASSERT_EQ(std::fegetround(), FE_TONEAREST);
    int after_suspend = -1;
    int at_start_of_next = -1;
    std::function<void()> rude = [&] {
        std::fesetround(FE_UPWARD);
        FiberPool::suspend();
        after_suspend = std::fegetround();
    };
    std::function<void()> next = [&] { at_start_of_next = std::fegetround(); };
    Fiber* fiber = start(pool, rude);
    pool.resume(fiber);
    const int outside = std::fegetround();
    pool.resume(fiber);
    run_to_end(pool, start(pool, next));  // on the same stack and context
    EXPECT_EQ(outside, FE_TONEAREST);
    EXPECT_EQ(after_suspend, FE_UPWARD);
    EXPECT_EQ(at_start_of_next, FE_TONEAREST);
    EXPECT_EQ(std::fegetround(), FE_TONEAREST);
    EXPECT_EQ(pool.usage().created, 1U);
}

TEST(Fiber, AnAbandonedFiberIsReusedWithoutUnwinding) {
    FiberPool pool{{}};
    bool unwound = false;
    bool ran = false;
    struct Mark {
        bool* flag;
        ~Mark() { *flag = true; }
    };
    std::function<void()> stuck = [&] {
        const Mark mark{&unwound};
        dig_from_here(4096);
        FiberPool::suspend();
    };
    std::function<void()> next = [&] {
        dig_from_here(16384);
        FiberPool::suspend();
        ran = true;
    };
    Fiber* fiber = start(pool, stuck);
    EXPECT_FALSE(pool.resume(fiber));
    pool.abandon(fiber);
    EXPECT_EQ(pool.usage().in_use, 0U);
    run_to_end(pool, start(pool, next));
    EXPECT_FALSE(unwound);
    EXPECT_TRUE(ran);
    EXPECT_EQ(pool.usage().created, 1U);
    pool.abandon(start(pool, next));  // not even begun
    EXPECT_EQ(pool.usage().in_use, 0U);
}

TEST(Fiber, AnEmptyPoolSaysSoAndGoesOnWhenOneFinishes) {
    FiberPool pool{{.fiber_count_max = 2}};
    std::function<void()> body = [] { FiberPool::suspend(); };
    Fiber* a = start(pool, body);
    Fiber* b = start(pool, body);
    ASSERT_NE(a, nullptr);
    ASSERT_NE(b, nullptr);
    EXPECT_EQ(start(pool, body), nullptr);
    run_to_end(pool, a);
    Fiber* c = start(pool, body);
    EXPECT_NE(c, nullptr);
    run_to_end(pool, b);
    run_to_end(pool, c);
}

TEST(Fiber, StacksOfACrowdThatWaitedOnceAreGivenBack) {
    FiberPool pool{{.idle_stacks_kept = 8}};
    constexpr std::size_t count = 300;
    std::vector<const char*> frames(count);
    std::vector<std::function<void()>> bodies(count);
    std::vector<Fiber*> fibers;
    for (std::size_t i = 0; i < count; ++i) {
        bodies[i] = [&frames, i] {
            const char here = 0;
            frames[i] = &here;
            dig_from_here(std::size_t{128} << 10U);
            FiberPool::suspend();
        };
        fibers.push_back(start(pool, bodies[i]));
        pool.resume(fibers.back());
    }
    for (Fiber* fiber : fibers) run_to_end(pool, fiber);
    const std::size_t before = resident_pages(frames[0] - (std::size_t{120} << 10U), frames[0]);
    EXPECT_GE(before, 30U);
    std::size_t steps = 0;
    std::function<void()> alone = [&] { ++steps; };
    for (int i = 0; i < 20'000; ++i) run_to_end(pool, start(pool, alone));
    EXPECT_GE(pool.usage().trimmed, count / 2);
    pool.trim();
    EXPECT_EQ(pool.usage().trimmed, count - 8);
    // The first to finish is the coldest. Its context, on the topmost page, must have survived.
    EXPECT_LE(resident_pages(frames[0] - (std::size_t{120} << 10U), frames[0]), 4U);
    std::vector<Fiber*> again;
    for (std::size_t i = 0; i < count; ++i) {
        again.push_back(start(pool, bodies[i]));
        ASSERT_FALSE(pool.resume(again.back()));
    }
    EXPECT_EQ(pool.usage().trimmed, 0U);
    for (Fiber* fiber : again) run_to_end(pool, fiber);
    EXPECT_EQ(pool.usage().created, count);
}

FiberPool* watched_pool = nullptr;

void say_if_overflow(int, siginfo_t* info, void*) {
    const char* text = watched_pool->is_guard_page(info->si_addr) ? "stack overflow seen\n" : "another fault\n";
    [[maybe_unused]] const auto written = write(2, text, std::strlen(text));
    _exit(3);
}

void overflow_with_handler(std::size_t neighbours) {
    static char alternate_stack[65536];
    stack_t alternate{};
    alternate.ss_sp = alternate_stack;
    alternate.ss_size = sizeof alternate_stack;
    sigaltstack(&alternate, nullptr);
    struct sigaction action {};
    action.sa_sigaction = say_if_overflow;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, nullptr);
    FiberPool pool{{}};
    watched_pool = &pool;
    std::function<void()> waits = [] { FiberPool::suspend(); };
    for (std::size_t i = 0; i < neighbours; ++i) pool.resume(start(pool, waits));
    std::function<void()> deep = [] { dig_from_here(std::size_t{3} << 19U); };
    pool.resume(start(pool, deep));
}

TEST(FiberDeathTest, DeepRecursionHitsTheGuardOfTheFirstStack) {
    EXPECT_EXIT(overflow_with_handler(0), testing::ExitedWithCode(3), "stack overflow seen");
}

TEST(FiberDeathTest, DeepRecursionHitsTheGuardBetweenStacks) {
    EXPECT_EXIT(overflow_with_handler(100), testing::ExitedWithCode(3), "stack overflow seen");
}

void overrun_neighbour(std::size_t bytes) {
    FiberPool pool{{.stack_size_bytes = std::size_t{64} << 10U, .guard_budget = 0}};
    std::function<void()> waits = [] { FiberPool::suspend(); };
    pool.resume(start(pool, waits));
    pool.resume(start(pool, waits));
    std::function<void()> deep = [bytes] { dig_from_here(bytes); };
    pool.resume(start(pool, deep));
}

TEST(FiberDeathTest, BeyondTheBudgetACanaryTellsTheOverflow) {
    overrun_neighbour(std::size_t{48} << 10U);  // within its own
    EXPECT_DEATH(overrun_neighbour(std::size_t{132} << 10U),
                 "stack overflow: a step used more than its 64 KiB|AddressSanitizer");
}

TEST(FiberDeathTest, SuspendOutsideOfAFiberIsABug) { EXPECT_DEATH(FiberPool::suspend(), "outside of a fiber"); }

TEST(FiberStacks, GuardsEndAtTheBudgetAndNothingElseIsAGuard) {
    FiberStacks stacks{{.stack_size_bytes = 65536, .stack_count_max = 200, .guard_budget = 3}};
    std::vector<FiberStack> all;
    while (const auto stack = stacks.allocate()) all.push_back(*stack);
    ASSERT_EQ(all.size(), 200U);
    std::size_t guarded = 0;
    for (const FiberStack& stack : all) {
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(stack.top) % 64, 0U);
        EXPECT_GE(stack.top - stack.limit, 65536 - 64);
        EXPECT_FALSE(stacks.is_guard_page(stack.top - 1));
        EXPECT_FALSE(stacks.is_guard_page(stack.limit));
        EXPECT_EQ(stacks.is_guard_page(stack.limit - 1), stack.canary == nullptr);
        EXPECT_TRUE(FiberStacks::intact(stack));
        guarded += stack.canary == nullptr ? 1 : 0;
        *stack.limit = std::byte{1};
        *(stack.top - 1) = std::byte{1};
    }
    for (const FiberStack& stack : all) EXPECT_TRUE(FiberStacks::intact(stack)) << "stacks overlap";
    // Three by budget, and the first of the second region (64 stacks in the first, 128 and the rest after it).
    EXPECT_EQ(guarded, 5U);
    EXPECT_FALSE(stacks.is_guard_page(nullptr));
    EXPECT_FALSE(stacks.is_guard_page(&guarded));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which need mappings themselves
TEST(FiberStacks, GuardsLeaveMappingsForEverybodyElse) {
    // More than the 65,530 mappings of a process allow: canaries take over before the kernel refuses any.
    FiberStacks stacks{{.stack_size_bytes = 16384, .stack_count_max = 40'000, .guard_budget = 40'000}};
    std::size_t with_canary = 0;
    for (int i = 0; i < 40'000; ++i) {
        const auto stack = stacks.allocate();
        ASSERT_TRUE(stack.has_value());
        with_canary += stack->canary != nullptr ? 1 : 0;
    }
    std::ifstream limit{"/proc/sys/vm/max_map_count"};
    std::size_t mappings = 0;
    limit >> mappings;
    if (mappings < 160'000) {
        // The first stack of a region needs no guard of its own.
        EXPECT_NEAR(static_cast<double>(40'000 - with_canary), static_cast<double>(mappings) / 4, 16);
    }
}
#endif

}  // namespace
}  // namespace phoenix
