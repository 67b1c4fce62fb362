#pragma once
/// Whether a node of a job of several still has members, or will have any. Asked by its port, its agent and whoever
/// joins. Any thread, any process; a look at all slots.

#include "base/ids.hpp"
#include "memory/control_segment.hpp"

#include <functional>

namespace phoenix {

/// A member came to the end of its program.
[[nodiscard]] bool somebody_finished(const ControlSegment& segment) noexcept;
/// A member lives: attached, or on the way to it with a slot of its own.
[[nodiscard]] bool somebody_lives(const ControlSegment& segment) noexcept;
/// Those that were to come at the start have come, or are known to have ended before that, or their time is over.
[[nodiscard]] bool everybody_came(const ControlSegment& segment) noexcept;

/// The port of `node` has said that it has no members and will have none.
[[nodiscard]] bool is_over(const ControlSegment& segment, NodeId node) noexcept;
/// The same of the node whose segment it is: whoever joins must leave again. Look after the slot was claimed.
[[nodiscard]] bool is_over(const ControlSegment& segment) noexcept;

/// Says so of the own node if `nobody_will_come` holds, before and after: whoever claims a slot right now sees it, or
/// is seen. The port's only. What a port said that died at it is taken back once a member is attached: that one had
/// come before. Returns whether it is said, for ever.
[[nodiscard]] bool say_over(const ControlSegment& segment, const std::function<bool()>& nobody_will_come);

}  // namespace phoenix
