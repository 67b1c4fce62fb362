#pragma once
/// What keeps slots of retired members from being used again, as it is found in shared memory.

#include "membership/vacancy.hpp"
#include "runtime/member_context.hpp"
#include "runtime/sweep.hpp"

namespace phoenix {

/// Of all slots that are RETIRED in `view`. Rings members that have yet to leave logs of the gone; takes logs between
/// two of the gone out of the directory.
/// @param swept  By sweep_after_the_dead() with the same view.
/// @threads Any; the coordinator's business.
/// @cost    Two loads for each such slot and each slot in use.
[[nodiscard]] RemainsTable find_remains(const MemberContext& context, const View& view, const SweepResult& swept);

}  // namespace phoenix
