// What a join costs those that are there, and how soon the joiner works.
//
//   bench_join [ROUNDS]    started with pflight run -n N; prints, from the member that keeps VNode 0, its stalls, and
//   from
//                          each joiner the time from the beginning of its main to its first step

#include "join/workload.hpp"

#include <cstdlib>
#include <phoenix/phoenix.hpp>

int main(int argc, char** argv) {
    const std::int64_t main_began = bench::now_ns();
    const auto rounds =
        static_cast<std::uint32_t>(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : join_bench::rounds_usual);
    phoenix::Runtime runtime{argc, argv};
    const bool of_the_start = runtime.member() < runtime.expected_member_count();
    auto domain = runtime.domain("join", {.vnodes = join_bench::parts});
    std::vector<std::int64_t> starts_ns;
    bool has_worked = false;
    domain.run(std::uint64_t{rounds + 1} * join_bench::round_steps, [&](phoenix::VNode& self) {
        if (self.index() == 0) starts_ns.push_back(bench::now_ns());
        if (!of_the_start && !has_worked) {
            has_worked = true;
            bench::print_samples("attach", {static_cast<double>(bench::now_ns() - main_began)}, true);
        }
        const std::uint64_t turn = self.step() % join_bench::round_steps;
        if (self.step() >= join_bench::round_steps && turn == 0 && self.index() == 0) runtime.grow(1);
        if (turn >= join_bench::round_steps / 2 && !of_the_start) runtime.retire();
        join_bench::work_for(join_bench::part_ns);
        if (self.all_reduce(phoenix::sum, std::uint64_t{1}) != join_bench::parts) std::abort();
    });
    if (!starts_ns.empty())
        bench::print_samples("stall", join_bench::stalls_of(starts_ns), starts_ns.size() > join_bench::round_steps);
    return 0;
}
