#pragma once
/// Settings of a job that all its members must share. Written by whoever founds the job, before members start.

#include "memory/control_segment.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace phoenix {

struct Settings {
    std::uint32_t heartbeat_period_ms = 100;      ///< Between two beats, and between two looks at the others' beats.
    std::uint32_t heartbeat_misses_max = 20;      ///< Looks without a new beat before a member counts as hung.
    std::uint32_t start_timeout_ms = 30'000;      ///< Waiting for expected members before VNodes are placed.
    std::uint32_t kill_timeout_ms = 10'000;       ///< A killed member must be seen dead within this.
    std::uint32_t stall_report_ms = 5'000;        ///< Waits longer than this show in the progress output.
    std::uint32_t deadlock_confirm_ms = 200;      ///< Time between the two equal passes of a deadlock verdict.
    std::uint64_t log_memory_soft = 64ULL << 20;  ///< Bytes a member retains before sending fibers wait for commits.
    std::uint64_t log_memory_max = 4ULL << 30;    ///< Bytes a member may retain at all.
    std::uint64_t stack_size_bytes = 1ULL << 20;  ///< Virtual, per fiber.
    std::uint32_t spin_ns = 20'000;               ///< Spinning before sleeping when members do not outnumber cores.
    bool verify_replay = false;                   ///< Every step twice, the second time in another member.
    bool always_move = false;                     ///< Test mode: every VNode moves at every step.
    bool quiet = false;                           ///< No lines but errors.
    bool started_by_mpirun = false;               ///< Members are ranks of mpirun; shown to people.
    std::string placement = "block";              ///< Of domains that choose none, see membership/placement_rule.hpp.
    std::string checkpoint_directory;             ///< Empty: no checkpoints.
    std::uint64_t checkpoint_every = 0;           ///< Steps; 0: none.
    std::uint32_t checkpoint_keep = 2;            ///< Complete checkpoints kept.
    std::string restart_directory;                ///< Empty: start afresh.
};

/// The settings as JSON text.
/// @error invalid_argument  A path is no valid UTF-8.
[[nodiscard]] tl::expected<std::string, Failure> settings_text(const Settings& settings);
/// @error corrupt  `text` holds no readable settings.
[[nodiscard]] tl::expected<Settings, Failure> parse_settings(std::string_view text);

/// @error invalid_argument  The settings do not fit into the segment (very long paths).
[[nodiscard]] tl::expected<void, Failure> store_settings(const Settings& settings, ControlSegment& segment);
/// @error corrupt  The segment holds no readable settings.
[[nodiscard]] tl::expected<Settings, Failure> load_settings(const ControlSegment& segment);

}  // namespace phoenix
