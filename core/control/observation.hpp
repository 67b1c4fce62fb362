#pragma once
/// A running job seen by somebody who is no member of it: which one is meant, and its shared memory, mapped.

#include "memory/arena.hpp"
#include "memory/control_segment.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix {

/// A hold on a job that takes no slot and keeps nobody waiting. What the job has in /dev/shm may go meanwhile; the
/// mappings stay.
struct ObservedJob {
    std::unique_ptr<ControlSegment> segment;  ///< At a stable address: `arena` refers to it.
    Arena arena;
};

/// The job that a node's segment belongs to: its id without `.<node>`; in a job of one node they are the same. Pure.
[[nodiscard]] std::string_view job_of_segment(std::string_view segment_id) noexcept;

/// Id of the job that is meant, a job of several nodes counting as one: `wanted`, or, if that is empty, the only living
/// one of `jobs`. Pure.
/// @error wrong_state  None lives, several do (lists them), there is none of that id, or it is dead.
[[nodiscard]] tl::expected<std::string, Failure> meant_job(std::string_view wanted, std::span<const FoundJob> jobs);

/// Maps the job of this user on this machine that is meant by `wanted` (see meant_job): those of its nodes that live
/// here, in their order; never none.
/// @error wrong_state  As meant_job; or it is just being made.
/// @error refused      It belongs to another user, or its memory cannot be reached from here.
/// @error mismatch     It is of another version of this library.
/// @cost  Two system calls per job of this user, some per open file of the process that holds the arena.
[[nodiscard]] tl::expected<std::vector<ObservedJob>, Failure> observe_nodes(std::string_view wanted);
/// The first of them.
[[nodiscard]] tl::expected<ObservedJob, Failure> observe_job(std::string_view wanted);

}  // namespace phoenix
