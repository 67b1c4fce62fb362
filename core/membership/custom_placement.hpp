#pragma once
/// Placement by a function of the application: its result is checked before anything is done with it.

#include "base/ids.hpp"

#include <phoenix/placement.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix {

/// Why a result of the application's function cannot be used. A sentence begins with it, as in "places VNode 3 ...".
struct PlacementFault {
    std::string what;
    friend bool operator==(const PlacementFault&, const PlacementFault&) = default;
};

/// Position in `members` of the owner of each VNode, all within `members`.
/// @pre There are members.
[[nodiscard]] tl::expected<std::vector<std::uint32_t>, PlacementFault> ask_application(
    const PlacementFunction& function, std::uint32_t vnodes, std::span<const PlacementMember> members);

}  // namespace phoenix
