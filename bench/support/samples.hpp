#pragma once
/// Figures of one process of a benchmark: times in nanoseconds, handed to the script as one line of JSON.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fmt/format.h>
#include <string_view>
#include <vector>

namespace bench {

[[nodiscard]] inline std::int64_t now_ns() noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

/// Prints {"case": name, "ns": [...], "good": ...}.
inline void print_samples(std::string_view name, const std::vector<double>& samples_ns, bool good) {
    fmt::print("{{\"case\": \"{}\", \"good\": {}, \"ns\": [", name, good);
    for (std::size_t i = 0; i < samples_ns.size(); ++i) fmt::print("{}{:.2f}", i == 0 ? "" : ", ", samples_ns[i]);
    fmt::print("]}}\n");
    std::fflush(stdout);
}

}  // namespace bench
