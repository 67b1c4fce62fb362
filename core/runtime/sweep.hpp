#pragma once
/// What the dead leave (rule 5): their records stay until the receivers' commits have consumed them, then the memory
/// goes back to everybody.

#include "memory/extent_pool.hpp"
#include "messaging/record.hpp"
#include "runtime/member_context.hpp"

#include <array>

namespace phoenix {

/// Whether the last commit but one of the record's receiver says that it is consumed: then its executor has said so
/// itself wherever it knew the record. False if that cannot be told at this moment, and always with global recovery,
/// where a cut may still be given up.
/// @threads Any; the receiver may be committing.
[[nodiscard]] bool consumed_by_commit(const MemberContext& context, const ExtentPool& pool, const Record& record);

struct SweepResult {
    bool left{false};                              ///< Records that are not consumed hold some of it.
    std::array<bool, member_count_max> in_logs{};  ///< Chunks by this slot that a living reader has not left.
};

/// Gives back extents that members in state FAILED or RETIRED allocated and that nothing reaches any more: no record
/// that is not consumed, no commit. What something reaches becomes nobody's, so that the slot can be used again, and is
/// looked at as before; but for chunks of logs that are still being read.
///
/// Every step is a compare-and-swap on an owner word or an idempotent bit: anybody may do it, at any time, any number
/// of times, and die on the way. A chunk is left alone while its living reader has not said that it is through with the
/// log (Mailroom::leave_logs_of_the_dead).
/// @threads Any.
/// @cost    One load per extent of the node, and a walk over the chunks of the dead.
SweepResult sweep_after_the_dead(const MemberContext& context, ExtentPool& pool, const View& view);

}  // namespace phoenix
