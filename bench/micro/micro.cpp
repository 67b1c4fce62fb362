// The runtime's smallest parts, each beside what one would use without it.

#include "control/attachment.hpp"
#include "membership/directory.hpp"
#include "membership/placement_rule.hpp"
#include "membership/ring.hpp"
#include "memory/extent_pool.hpp"
#include "runtime/fiber.hpp"

#include <benchmark/benchmark.h>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <phoenix/phoenix.hpp>
#include <random>
#include <tbb/concurrent_hash_map.h>
#include <ucontext.h>
#include <vector>

namespace {

// --- directory lookup: who owns a VNode, at random places

constexpr std::uint32_t directory_vnodes = 100'000;

std::vector<std::uint32_t> random_vnodes() {
    std::vector<std::uint32_t> vnodes(4096);
    std::mt19937 engine{7};
    for (std::uint32_t& vnode : vnodes) vnode = static_cast<std::uint32_t>(engine() % directory_vnodes);
    return vnodes;
}

void directory_lookup(benchmark::State& state) {
    std::vector<phoenix::AtomicDirectoryWord> words(directory_vnodes);
    for (std::uint32_t v = 0; v < directory_vnodes; ++v)
        words[v] = phoenix::DirectoryWord::make(phoenix::MemberSlot{v % 7}, phoenix::OwnerState::active, 1).bits;
    const auto vnodes = random_vnodes();
    std::size_t at = 0;
    for (auto _ : state)
        benchmark::DoNotOptimize(
            phoenix::DirectoryWord{words[vnodes[at++ % vnodes.size()]].load(std::memory_order_acquire)}.owner());
}
BENCHMARK(directory_lookup);

void directory_lookup_rival_hash_map(benchmark::State& state) {
    tbb::concurrent_hash_map<std::uint32_t, std::uint32_t> owners;
    for (std::uint32_t v = 0; v < directory_vnodes; ++v) owners.emplace(v, v % 7);
    const auto vnodes = random_vnodes();
    std::size_t at = 0;
    for (auto _ : state) {
        tbb::concurrent_hash_map<std::uint32_t, std::uint32_t>::const_accessor found;
        owners.find(found, vnodes[at++ % vnodes.size()]);
        benchmark::DoNotOptimize(found->second);
    }
}
BENCHMARK(directory_lookup_rival_hash_map);

// --- placement: who owns a VNode on a ring of 16 members, and the plan of moves when a seventeenth comes

std::vector<phoenix::RingMember> ring_members() {
    std::vector<phoenix::RingMember> members;
    for (std::uint32_t slot = 0; slot < 16; ++slot) members.push_back({phoenix::MemberSlot{slot}, slot});
    return members;
}

void ring_owner(benchmark::State& state) {
    const phoenix::Ring ring{phoenix::ring_tokens_default, ring_members()};
    std::uint32_t vnode = 0;
    for (auto _ : state) benchmark::DoNotOptimize(ring.owner_of(phoenix::VNodeId{vnode++}));
}
BENCHMARK(ring_owner);

void ring_owner_rival_map(benchmark::State& state) {
    std::map<std::uint64_t, std::uint32_t> ring;
    std::mt19937_64 engine{7};
    for (std::uint32_t point = 0; point < 16 * phoenix::ring_tokens_default; ++point) ring[engine()] = point % 16;
    for (auto _ : state) {
        const auto at = ring.lower_bound(engine());
        benchmark::DoNotOptimize(at == ring.end() ? ring.begin()->second : at->second);
    }
}
BENCHMARK(ring_owner_rival_map);

void plan_of_a_join(benchmark::State& state) {
    constexpr std::uint32_t vnodes = 1'000'000;
    const auto kind = static_cast<phoenix::PlacementKind>(state.range(0));
    const phoenix::PlacementRule rule{kind, phoenix::ring_tokens_default};
    std::vector<phoenix::Adopter> adopters;
    std::vector<phoenix::BalanceMember> members;
    for (std::uint32_t slot = 0; slot < 17; ++slot) {
        if (slot < 16) adopters.push_back({phoenix::MemberSlot{slot}, 0, slot, 1 + slot % 2});
        members.push_back({phoenix::MemberSlot{slot}, true, true, slot, 1 + slot % 2});
    }
    std::vector<phoenix::VNodeId> all(vnodes);
    for (std::uint32_t v = 0; v < vnodes; ++v) all[v] = phoenix::VNodeId{v};
    const std::vector<std::uint32_t> nobody(vnodes, ~0U);
    const auto owners = phoenix::place(rule, {vnodes, all, nobody, adopters, adopters, vnodes});
    std::size_t moves = 0;
    for (auto _ : state) moves = phoenix::plan_moves(rule, *owners, members)->moves.size();
    state.counters["moved_over_least"] = static_cast<double>(moves) * 17 / vnodes;
}
BENCHMARK(plan_of_a_join)->DenseRange(0, 2)->Unit(benchmark::kNanosecond);

// --- fiber switch: into a fiber and back

void fiber_switch(benchmark::State& state) {
    static bool over = false;
    over = false;
    phoenix::FiberPool pool{{}};
    phoenix::Fiber* fiber = pool.acquire(
        [](void*) {
            while (!over) phoenix::FiberPool::suspend();  // NOLINT(bugprone-infinite-loop): changed while suspended
        },
        nullptr);
    for (auto _ : state) pool.resume(fiber);
    over = true;
    pool.resume(fiber);
}
BENCHMARK(fiber_switch);

ucontext_t main_context;
ucontext_t other_context;

void fiber_switch_rival_swapcontext(benchmark::State& state) {
    std::vector<char> stack(65536);
    getcontext(&other_context);
    other_context.uc_stack.ss_sp = stack.data();
    other_context.uc_stack.ss_size = stack.size();
    other_context.uc_link = &main_context;
    makecontext(
        &other_context,
        [] {
            for (;;) swapcontext(&other_context, &main_context);
        },
        0);
    for (auto _ : state) swapcontext(&main_context, &other_context);
}
BENCHMARK(fiber_switch_rival_swapcontext);

// --- a whole step of a VNode with its commit, in a job of one member; the part is renewed by no more than one element

phoenix::Runtime& job_of_one() {
    static int argc = 1;
    static char name[] = "bench_micro";
    static char* arguments[] = {name, nullptr};
    static char** argv = arguments;
    static phoenix::Runtime runtime{argc, argv};
    return runtime;
}

void step_and_commit(benchmark::State& state, unsigned buffers) {
    static int number = 0;
    auto domain = job_of_one().domain("commit" + std::to_string(++number), {.vnodes = 1});
    const auto part = domain.field<double>(
        "part", phoenix::Shape{static_cast<std::uint64_t>(state.range(0)) / sizeof(double)}, {.buffers = buffers});
    constexpr std::uint64_t steps = 1000;
    while (state.KeepRunningBatch(steps))
        domain.run(steps, [&](phoenix::VNode& self) {
            if (buffers == 2)
                self[part].next()(0) = 1;
            else
                self[part].write()(0) = 1;
        });
}
void commit_by_flip(benchmark::State& state) { step_and_commit(state, 2); }
BENCHMARK(commit_by_flip)->Arg(4096)->Arg(1 << 20)->Iterations(20'000);
void commit_by_copy(benchmark::State& state) { step_and_commit(state, 1); }
BENCHMARK(commit_by_copy)->Arg(4096)->Arg(1 << 20)->Iterations(20'000);

// What a checkpoint in memory would do: copy the part.
void commit_rival_memcpy(benchmark::State& state) {
    std::vector<char> from(static_cast<std::size_t>(state.range(0)), 1);
    std::vector<char> to(from.size());
    for (auto _ : state) {
        std::memcpy(to.data(), from.data(), from.size());
        benchmark::ClobberMemory();
    }
}
BENCHMARK(commit_rival_memcpy)->Arg(4096)->Arg(1 << 20);

// --- extents: allocate and free

void extent_allocate_free(benchmark::State& state) {
    auto access = phoenix::attach_or_found();
    if (!access) return state.SkipWithError(access.error().sentence.c_str());
    phoenix::ExtentPool pool{*access->segment, access->arena, 0};
    for (auto _ : state) {
        auto extent = pool.allocate(static_cast<std::uint64_t>(state.range(0)), phoenix::ExtentKind::payload);
        if (!extent) return state.SkipWithError(extent.error().sentence.c_str());
        pool.free(*extent);
    }
    phoenix::ControlSegment::remove(access->segment->job_id());
}
BENCHMARK(extent_allocate_free)->Arg(1024)->Arg(65536);

void extent_rival_malloc(benchmark::State& state) {
    for (auto _ : state) {
        void* memory = std::malloc(static_cast<std::size_t>(state.range(0)));
        benchmark::DoNotOptimize(memory);
        std::free(memory);
    }
}
BENCHMARK(extent_rival_malloc)->Arg(1024)->Arg(65536);

}  // namespace

BENCHMARK_MAIN();
