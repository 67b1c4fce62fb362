#pragma once
/// How a process gets at its job's shared memory: attached to the job it was started for, or as the founder of a job.

#include "memory/arena.hpp"
#include "memory/control_segment.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace phoenix {

/// Variables by which `pflight` tells a member its job.
inline constexpr const char* job_variable = "PHOENIX_JOB";  ///< Job id.
inline constexpr const char* agent_variable =
    "PHOENIX_AGENT";  ///< Abstract unix socket of the agent, without the leading 0.
inline constexpr const char* secret_variable = "PHOENIX_SECRET";  ///< The header's secret, 64 hexadecimal digits.

/// A process's hold on its job.
struct JobAccess {
    std::unique_ptr<ControlSegment> segment;  ///< At a stable address: `arena` refers to it.
    Arena arena;
    bool founded{false};    ///< This process founded the job; without an agent the last member removes it.
    bool has_agent{false};  ///< A launcher serves the job (or did: it may have been killed) and removes it at the end.
};

/// Attaches to the job that the environment names, or founds one:
/// - PHOENIX_JOB set: the job of a `pflight run`;
/// - a rank of a plain mpirun (PMIX_NAMESPACE, OMPI_COMM_WORLD_LOCAL_SIZE): the ranks of this node share one job,
/// founded
///   by whoever comes first, with a named arena and expected_members = the local size;
/// - else: a job of this process alone.
///
/// The caller claims its member slot itself.
/// @error refused    Wrong secret, another user, another PID namespace; a sentence says which.
/// @error no_memory  Says how much is needed and how to change it.
/// @cost  Two system calls per dead job found in /dev/shm when founding; waits at most 30 s for another founder.
[[nodiscard]] tl::expected<JobAccess, Failure> attach_or_found();

/// Hexadecimal form of a job's secret.
[[nodiscard]] std::string secret_text(const std::array<std::uint8_t, 32>& secret);
/// True if `text` is the job's secret. Takes the same time wherever they differ.
[[nodiscard]] bool secret_matches(const ControlHeader& header, std::string_view text) noexcept;

}  // namespace phoenix
