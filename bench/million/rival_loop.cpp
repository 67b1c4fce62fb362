// The same cells as two plain arrays and a loop: no members, no commits, nothing survives.

#include "million/workload.hpp"
#include "support/samples.hpp"

#include <cstdlib>
#include <utility>
#include <vector>

int main(int argc, char** argv) {
    const auto cells = static_cast<std::size_t>(argc > 1 ? std::atoi(argv[1]) : 1'000'000);
    const int steps = argc > 2 ? std::atoi(argv[2]) : 5;
    std::vector<std::uint64_t> now(cells);
    std::vector<std::uint64_t> next(cells);
    for (std::size_t i = 0; i < cells; ++i) now[i] = million::first_value(i);
    const auto step = [&] {
        for (std::size_t i = 0; i < cells; ++i) next[i] = million::next_value(now[i]);
        std::swap(now, next);
    };
    step();
    const std::int64_t begun = bench::now_ns();
    for (int i = 0; i < steps; ++i) step();
    const auto nanoseconds = static_cast<double>(bench::now_ns() - begun);
    std::uint64_t sum = 0;
    for (const std::uint64_t value : now) sum += value;
    fmt::print("{{\"sum\": {}, \"step_ns\": {:.3f}}}\n", sum, nanoseconds / static_cast<double>(cells) / steps);
    return 0;
}
