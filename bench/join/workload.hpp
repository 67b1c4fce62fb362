#pragma once
/// What both sides do while processes come and go: steps of equal work, in which everybody waits for everybody, so that
/// what delays one delays all; in rounds: a process is asked for at the beginning of each round and leaves in its
/// middle.

#include "support/samples.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace join_bench {

inline constexpr std::uint32_t parts = 16;       ///< Of the work of a step.
inline constexpr std::int64_t part_ns = 50'000;  ///< Of work in each.
inline constexpr std::uint32_t round_steps = 400;
inline constexpr std::uint32_t rounds_usual = 12;

/// Works for a while, by the clock: the same on both sides, whoever else has the core.
inline void work_for(std::int64_t duration_ns) noexcept {
    const std::int64_t end = bench::now_ns() + duration_ns;
    while (bench::now_ns() < end) {
    }
}

/// Of each round but the first, which nobody disturbs: the longest time from one step to the next, less what is usual.
/// @param starts_ns  Of all steps.
inline std::vector<double> stalls_of(const std::vector<std::int64_t>& starts_ns) {
    std::vector<std::int64_t> gaps;
    for (std::size_t i = 1; i < starts_ns.size(); ++i) gaps.push_back(starts_ns[i] - starts_ns[i - 1]);
    std::vector<std::int64_t> calm(gaps.begin(), gaps.begin() + round_steps);
    std::nth_element(calm.begin(), calm.begin() + round_steps / 2, calm.end());
    std::vector<double> stalls;
    for (std::size_t begin = round_steps; begin + round_steps / 2 <= gaps.size(); begin += round_steps) {
        const auto first = gaps.begin() + static_cast<std::ptrdiff_t>(begin);
        stalls.push_back(
            static_cast<double>(*std::max_element(first, first + round_steps / 2) - calm[round_steps / 2]));
    }
    return stalls;
}

}  // namespace join_bench
