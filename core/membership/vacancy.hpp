#pragma once
/// When the slot of a member that has retired may be claimed by another process. Pure.
///
/// The slots of members that failed stay as they are: deaths are counted by them (generation, crash ledger).

#include "membership/reconcile.hpp"

#include <array>
#include <vector>

namespace phoenix {

/// What still names the slot of a retired member by its position.
struct Remains {
    bool last_words{};  ///< The launcher lives and has not read how the process ended.
    bool logs{};        ///< A member of the view has not left a log of the slot's, or not closed one towards it.
    bool memory{};      ///< Chunks of such a log are its by their owner words.
    [[nodiscard]] bool any() const noexcept { return last_words || logs || memory; }
};
using RemainsTable = std::array<Remains, member_count_max>;

/// Slots that may be given back now. Once that is true of a slot it stays so: the process is dead, and nobody begins a
/// log from or towards a slot that is no member of the view. Words that still name the slot (or name it once more,
/// because a member that had not seen the view gave a VNode away) keep a newcomer from being admitted, not from
/// claiming.
///
/// @threads Any; the coordinator's business.
[[nodiscard]] std::vector<MemberSlot> vacant_slots(const View& view,
                                                   const std::array<PublishedMember, member_count_max>& published,
                                                   const LivenessTable& liveness, const RemainsTable& remains);

}  // namespace phoenix
