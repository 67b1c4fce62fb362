#pragma once
/// What may be asked of a running job, by its members or from outside: more members, the retirement of one, a move.
/// Each is one atomic store that somebody in the job finds and carries out; who asks may die right after.

#include "base/ids.hpp"
#include "memory/arena.hpp"
#include "memory/control_segment.hpp"

#include <cstdint>

namespace phoenix {

/// Wakes every member: there is news.
void ring_members(const ControlSegment& segment) noexcept;
/// The same for news that service threads decide about: arrivals, wishes to retire, phases entered.
void ring_services(const ControlSegment& segment) noexcept;

/// Asks the agent to start `members` more. False if the job has no living agent.
bool request_growth(const ControlSegment& segment, std::uint32_t members) noexcept;

/// Asks that the member in `slot` drain and leave. If it still owns anything at `deadline_ns` (boot time; 0: no hurry)
/// it is killed and recovered like a dead one.
void request_retirement(const ControlSegment& segment, std::uint32_t slot, std::uint32_t incarnation,
                        std::uint64_t deadline_ns) noexcept;

/// Asks that VNode `vnode` of domain `domain` move to `member` at its next step boundary.
/// @error invalid_argument  No such domain, VNode or member, or the member does not take VNodes; says which there are.
[[nodiscard]] tl::expected<void, Failure> request_move(const ControlSegment& segment, const Arena& arena,
                                                       std::uint32_t domain, std::uint32_t vnode, std::uint32_t member);

/// Asks that VNode `vnode`, which is on this node, go to node `node` at its next step boundary. A member gets it there.
/// @error invalid_argument  No such domain, VNode or node.
[[nodiscard]] tl::expected<void, Failure> request_move_to_node(const ControlSegment& segment, const Arena& arena,
                                                               std::uint32_t domain, std::uint32_t vnode, NodeId node);

}  // namespace phoenix
