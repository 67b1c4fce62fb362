#pragma once
/// Where the progress display gets the progress of the steps from.

#if __has_include("runtime/job_progress.hpp")
#include "runtime/job_progress.hpp"
#else
#include "memory/arena.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace phoenix {

struct JobProgress {
    std::string domain;
    std::uint64_t step_min{0};
    std::uint64_t step_mean{0};
    std::uint64_t steps_total{0};
    std::uint32_t vnodes{0};
    std::uint32_t waiting{0};
    std::string long_wait;
};

inline std::optional<JobProgress> read_job_progress(const ControlSegment& /*segment*/, const Arena& /*arena*/) {
    return std::nullopt;
}

}  // namespace phoenix
#endif
