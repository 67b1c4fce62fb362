#pragma once
/// A process's own slot in the member table: registration (Algorithm 1) and leaving.

#include "runtime/member_context.hpp"

#include <tl/expected.hpp>

namespace phoenix {

/// Attaches this process to its job, or founds one, and registers it as a member: ValidateIdentity and
/// VerifyGovernancePolicies (credential, version, user: attach_or_found), RegisterCapabilities, AddEntityToRegistry (a
/// slot that is nobody's, by compare-and-swap). ACTIVE it becomes with the next view, which the coordinator proposes.
/// Ports get the highest free slot, so that the numbers of those that execute begin at 0. Waits for a slot while
/// somebody retires, 30 s at most.
/// @error refused  The member table is full, or what attach_or_found() refuses. Nothing is left behind.
[[nodiscard]] tl::expected<MemberContext, Failure> register_member(MemberRole role = MemberRole::executes);

/// Says that this member has finished in good order; if it is the last one and no launcher is there, removes the job's
/// names from /dev/shm.
void leave_job(MemberContext& context) noexcept;

}  // namespace phoenix
