#include "membership/vacancy.hpp"

namespace phoenix {

namespace {

/// True if the slot is still that of the member which `view` says has retired.
bool is_retired(const View& view, const PublishedMember& published, std::uint32_t slot) noexcept {
    const MemberEntry& entry = view.members[slot];
    return entry.state == MemberState::retired && published.state == PublishedState::leaving &&
           published.incarnation == entry.incarnation;
}

}  // namespace

std::vector<MemberSlot> vacant_slots(const View& view, const std::array<PublishedMember, member_count_max>& published,
                                     const LivenessTable& liveness, const RemainsTable& remains) {
    std::vector<MemberSlot> slots;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const bool over = is_retired(view, published[slot], slot) && liveness[slot] == Liveness::dead;
        if (over && !remains[slot].any()) {
            slots.push_back(MemberSlot{slot});
        }
    }
    return slots;
}

}  // namespace phoenix
