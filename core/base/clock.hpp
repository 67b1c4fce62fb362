#pragma once
/// Time for decisions of the runtime. Never part of a result.

#include <cstdint>
#include <ctime>

namespace phoenix {

/// Nanoseconds of CLOCK_BOOTTIME: the same in all processes of a node, goes on during suspend.
[[nodiscard]] inline std::uint64_t boot_time_ns() noexcept {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000ULL + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace phoenix
