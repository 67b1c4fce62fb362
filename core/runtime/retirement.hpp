#pragma once
/// Retirement of this member: being asked by SIGTERM, being empty.

#include "runtime/member_context.hpp"

namespace phoenix {

/// Time a member that got SIGTERM has to drain, ns.
inline constexpr std::uint64_t sigterm_drain_ns = 30'000'000'000;

/// From here on SIGTERM asks this member to drain and leave, while the job runs under a living agent; else it ends the
/// process as ever. Does nothing where the application has a handler of its own or ignores the signal.
void retire_on_sigterm(const MemberContext& context) noexcept;

/// True if this member was asked to retire, drains by the view in force and owns no VNode of any domain or space. What
/// somebody gives it after that is given to one that has left: the coordinator sees that as it sees a death, and
/// nothing of it was begun.
/// @cost One load, and one per VNode of the job while it drains.
[[nodiscard]] bool drained(const MemberContext& context);

}  // namespace phoenix
