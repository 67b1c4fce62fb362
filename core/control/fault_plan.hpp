#pragma once
/// Planned faults: what `--fault` and `--chaos` say, as entries of the job's fault plan. Parsing is pure.

#include "memory/control_segment.hpp"

#include <cstdint>
#include <span>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix {

inline constexpr std::int32_t fault_target_coordinator = -1;
inline constexpr std::int32_t fault_target_picked = -2;
inline constexpr std::int32_t fault_target_anybody = -3;

/// A FaultEntry before it is stored; the fields mean the same.
struct PlannedFault {
    FaultKind kind{FaultKind::kill};
    std::int32_t target{0};
    std::uint64_t step{0};
    double step_fraction{-1.0};
    std::uint64_t pick{0};
    std::uint64_t resume_after_ns{0};
    std::uint32_t after{0};
    std::uint32_t count{0};
    std::uint32_t node{0};  ///< kill_port: of which node; a node's own plan has those of its own port only.
    friend bool operator==(const PlannedFault&, const PlannedFault&) = default;
};

/// Parses `kill:2@300`, `kill:coordinator@50`, `stop:1@200` or `stop:1@200+3s` (units ms, s), `join:2@500`,
/// `retire:1@400`, `retire:coordinator@400`, `kill:port1@50` (the port of node 1).
/// @error invalid_argument  Names the position (from 1) and what is expected there.
[[nodiscard]] tl::expected<PlannedFault, Failure> parse_fault(std::string_view text);

/// A random schedule that depends on nothing but its seed.
struct Chaos {
    std::uint64_t seed{0};
    std::uint32_t kills{0};
    std::uint32_t joins{0};
    std::uint32_t retires{0};
    std::uint32_t moves{0};
    std::uint32_t ports{0};  ///< Ports killed.

    /// Members it takes away, joins not counted.
    [[nodiscard]] std::uint32_t losses() const noexcept { return kills + retires; }
};

/// Parses `seed=7,kills=3,joins=4,retires=3,moves=50,ports=2` in any order; what is left out is 0, but with nothing
/// named at all there is one kill.
/// @error invalid_argument  As parse_fault().
[[nodiscard]] tl::expected<Chaos, Failure> parse_chaos(std::string_view text);

/// The events of `chaos` in the order of their steps, each waiting for the one before it. `first_index` is the place in
/// the plan that the first will get.
[[nodiscard]] std::vector<PlannedFault> chaos_faults(Chaos chaos, std::uint32_t first_index);

/// Value `counter` of the random sequence of `seed`.
[[nodiscard]] std::uint64_t random_value(std::uint64_t seed, std::uint64_t counter) noexcept;

/// Parses `250ms`, `3s`, `1.5s`; the result is in nanoseconds.
[[nodiscard]] tl::expected<std::uint64_t, Failure> parse_duration(std::string_view text);

/// Writes the plan into the segment; before members start.
/// @error invalid_argument  More than fault_count_max faults.
[[nodiscard]] tl::expected<void, Failure> store_fault_plan(std::span<const PlannedFault> faults,
                                                           ControlSegment& segment);

}  // namespace phoenix
