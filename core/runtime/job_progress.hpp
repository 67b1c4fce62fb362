#pragma once
/// How far a job is, read from its shared memory by whoever has it mapped, without stopping anything.

#include "memory/arena.hpp"
#include "memory/control_segment.hpp"
#include "runtime/domain_layout.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace phoenix {

struct JobProgress {
    std::string domain;
    std::uint32_t phase{0};        ///< 1 is the first initialise() or run() of the domain.
    std::uint64_t step_min{0};     ///< Steps completed by the VNode that is furthest behind.
    double step_mean{0};           ///< Over the VNodes looked at.
    std::uint64_t steps_total{0};  ///< Asked for in this phase.
    std::uint32_t vnodes{0};
    std::uint32_t vnodes_here{0};  ///< Looked at and on this node.
    std::uint64_t checkpoints{0};
    std::string long_wait;  ///< The longest wait beyond the limit, as a sentence; empty if there is none.
};

/// Progress of one domain, as far as its VNodes are on this node. Looks at 4096 VNodes at most, evenly spread.
/// @param stall_ns  Waits longer than this are reported.
[[nodiscard]] JobProgress read_domain_progress(const Arena& arena, const DomainHeader& domain, std::uint64_t stall_ns);

/// The same of the domain that changed last.
[[nodiscard]] std::optional<JobProgress> read_job_progress(const ControlSegment& segment, const Arena& arena,
                                                           std::uint64_t stall_ns = 5'000'000'000);

}  // namespace phoenix
