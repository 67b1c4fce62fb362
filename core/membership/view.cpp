#include "membership/view.hpp"

#include "base/check.hpp"

#include <algorithm>

namespace phoenix {

const MemberEntry& View::at(MemberSlot slot) const {
    PHOENIX_CHECK(slot.value < member_count_max);
    return members[slot.value];
}

std::uint32_t View::active_count() const noexcept {
    return static_cast<std::uint32_t>(std::count_if(
        members.begin(), members.end(), [](const MemberEntry& entry) { return entry.state == MemberState::active; }));
}

View next_of(View view) {
    ++view.number.value;
    return view;
}

View with_active(View view, MemberSlot slot, Incarnation incarnation) {
    MemberEntry& entry = view.members.at(slot.value);
    const bool vacant =
        entry.state == MemberState::empty || entry.state == MemberState::retired || entry.state == MemberState::failed;
    PHOENIX_CHECK(vacant && (entry.state == MemberState::empty || entry.incarnation < incarnation));
    entry = MemberEntry{MemberState::active, incarnation, view.next_order++};
    return view;
}

View with_draining(View view, MemberSlot slot) {
    MemberEntry& entry = view.members.at(slot.value);
    PHOENIX_CHECK(entry.state == MemberState::active);
    entry.state = MemberState::draining;
    return view;
}

View with_reactivated(View view, MemberSlot slot) {
    MemberEntry& entry = view.members.at(slot.value);
    PHOENIX_CHECK(entry.state == MemberState::draining);
    entry.state = MemberState::active;
    return view;
}

namespace {

View ended(View view, MemberSlot slot, MemberState state) {
    MemberEntry& entry = view.members.at(slot.value);
    PHOENIX_CHECK(entry.state == MemberState::joining || entry.state == MemberState::active ||
                  entry.state == MemberState::draining);
    entry.state = state;
    return view;
}

}  // namespace

View with_failed(View view, MemberSlot slot) { return ended(view, slot, MemberState::failed); }

View with_retired(View view, MemberSlot slot) { return ended(view, slot, MemberState::retired); }

View with_next_generation(View view) {
    ++view.generation.value;
    return view;
}

std::optional<MemberSlot> coordinator_of(const View& view, const LivenessTable& liveness) {
    for (const MemberState wanted : {MemberState::active, MemberState::draining}) {
        std::optional<MemberSlot> oldest;
        for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
            const MemberEntry& entry = view.members[slot];
            if (entry.state != wanted || liveness[slot] != Liveness::alive) {
                continue;
            }
            if (!oldest || entry.order < view.at(*oldest).order) {
                oldest = MemberSlot{slot};
            }
        }
        if (oldest) {
            return oldest;
        }
    }
    return std::nullopt;
}

namespace {

// FNV-1a over 64-bit words: enough to tell a torn image from a whole one; not meant against malice.
constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t word) noexcept {
    return (hash ^ word) * 0x100000001B3ULL;
}

std::uint64_t check_of(const ViewImage& image) noexcept {
    std::uint64_t hash = 0xCBF29CE484222325ULL;
    hash = mix(hash, image.number);
    hash = mix(hash, image.next_order);
    hash = mix(hash, image.generation);
    for (const MemberEntryImage& entry : image.members) {
        hash = mix(hash, entry.order);
        hash = mix(hash, (std::uint64_t{entry.incarnation} << 8U) | entry.state);
    }
    return hash;
}

}  // namespace

ViewImage image_of(const View& view) noexcept {
    ViewImage image{};
    image.number = view.number.value;
    image.next_order = view.next_order;
    image.generation = view.generation.value;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberEntry& entry = view.members[slot];
        image.members[slot].order = entry.order;
        image.members[slot].incarnation = entry.incarnation.value;
        image.members[slot].state = static_cast<std::uint8_t>(entry.state);
    }
    image.check = check_of(image);
    return image;
}

std::optional<View> view_of(const ViewImage& image) noexcept {
    if (image.check != check_of(image)) {
        return std::nullopt;
    }
    View view;
    view.number.value = image.number;
    view.next_order = image.next_order;
    view.generation.value = image.generation;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberEntryImage& entry = image.members[slot];
        if (entry.state > static_cast<std::uint8_t>(MemberState::failed)) {
            return std::nullopt;
        }
        view.members[slot] =
            MemberEntry{static_cast<MemberState>(entry.state), Incarnation{entry.incarnation}, entry.order};
    }
    return view;
}

}  // namespace phoenix
