// A domain of very many VNodes: memory of each, time of a step of each. Arguments: VNodes, steps of the timed phase.

#include "million/workload.hpp"
#include "support/samples.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <phoenix/phoenix.hpp>
#include <string>
#include <sys/stat.h>
#include <system_error>

namespace {

/// Anonymous memory of this process alone, bytes.
double private_bytes() {
    std::ifstream file{"/proc/self/smaps_rollup"};
    for (std::string key; file >> key;) {
        double kib = 0;
        if (key == "Pss_Anon:" && file >> kib) return kib * 1024;
    }
    return 0;
}

/// Memory of the job's arena, which all members share, bytes: what the kernel has allocated for the memory object.
double shared_bytes() {
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
        std::error_code error;
        if (std::filesystem::read_symlink(entry.path(), error).string().find("memfd:") == std::string::npos) continue;
        struct stat status {};
        if (stat(entry.path().c_str(), &status) == 0) return static_cast<double>(status.st_blocks) * 512;
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    phoenix::Runtime runtime{argc, argv};
    const auto vnodes = static_cast<std::uint32_t>(argc > 1 ? std::atoi(argv[1]) : 1'000'000);
    const auto steps = static_cast<std::uint64_t>(argc > 2 ? std::atoi(argv[2]) : 5);
    const double private_before = private_bytes();
    const double shared_before = shared_bytes();
    auto domain = runtime.domain("cells", {.vnodes = vnodes});
    const auto cell = domain.field<std::uint64_t>("cell", phoenix::Shape{1}, {.buffers = 2});
    const auto step = [cell](phoenix::VNode& self) { self[cell].next()(0) = million::next_value(self[cell].now()(0)); };

    const std::int64_t begun = bench::now_ns();
    domain.initialise([cell](phoenix::VNode& self) { self[cell].next()(0) = million::first_value(self.index()); });
    const std::int64_t initialised = bench::now_ns();
    domain.run(1, step);
    const std::int64_t run_once = bench::now_ns();
    domain.run(steps, step);
    const std::int64_t end = bench::now_ns();
    const double own = (private_bytes() - private_before) / vnodes;
    const double shared = (shared_bytes() - shared_before) / vnodes;

    domain.gather(cell, [&](const phoenix::Gathered<std::uint64_t>& whole) {
        std::uint64_t sum = 0;
        for (std::uint32_t v = 0; v < vnodes; ++v) sum += whole[v](0);
        fmt::print("{{\"sum\": {}}}\n", sum);
    });
    const double count = vnodes;
    const auto each = [&](std::int64_t from, std::int64_t to, double rounds) {
        return static_cast<double>(to - from) / count / rounds;
    };
    fmt::print(
        "{{\"member\": {}, \"own_bytes\": {:.1f}, \"shared_bytes\": {:.1f}, \"initialise_ns\": {:.1f}, \"once_ns\": "
        "{:.1f}, "
        "\"step_ns\": {:.1f}}}\n",
        runtime.member(), own, shared, each(begun, initialised, 1), each(initialised, run_once, 1),
        each(run_once, end, static_cast<double>(steps)));
    std::fflush(stdout);
    return 0;
}
