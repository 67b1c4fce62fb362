#pragma once
/// Views: the numbered, agreed list of members and their states. Values and pure functions only; who owns a VNode is
/// in the directory (directory.hpp), never in a view.

#include "base/ids.hpp"
#include "memory/layout.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace phoenix {

/// Lifecycle: joining -> active -> draining -> retired, or -> failed from any state but retired.
enum class MemberState : std::uint8_t { empty = 0, joining, active, draining, retired, failed };

/// One slot of the member table as a view sees it. A slot that is reused comes back with a higher incarnation.
struct MemberEntry {
    MemberState state{MemberState::empty};
    Incarnation incarnation{};
    std::uint64_t order{};  ///< Seniority, given by the view that admits; lower = older. Never reused.
    friend bool operator==(const MemberEntry&, const MemberEntry&) = default;
};

/// Number 0 is the view nobody proposed: all slots empty.
///
/// Invariant: `order` of entries that are not empty are distinct and below `next_order`, so that a member admitted
/// later is never older than one admitted before: the coordinator changes by death or retirement only, and two
/// coordinators never act at once in good faith.
struct View {
    ViewNumber number{};
    Generation generation{};
    std::uint64_t next_order{};
    std::array<MemberEntry, member_count_max> members{};

    [[nodiscard]] const MemberEntry& at(MemberSlot slot) const;
    /// True if the member in `slot` takes part: may own VNodes, is routed to.
    [[nodiscard]] bool is_active(MemberSlot slot) const { return at(slot).state == MemberState::active; }
    [[nodiscard]] std::uint32_t active_count() const noexcept;
    friend bool operator==(const View&, const View&) = default;
};

/// `view` with the next number and nothing else changed. Several with_... of *one* proposal start from one next_of.
[[nodiscard]] View next_of(View view);

/// Admits the process `incarnation` in `slot` with the next seniority. The slot must be empty, retired or failed, with
/// a lower incarnation than `incarnation` unless empty. Does not change the number.
[[nodiscard]] View with_active(View view, MemberSlot slot, Incarnation incarnation);
/// Marks the member draining (it keeps its VNodes until they have moved). The slot must be active.
[[nodiscard]] View with_draining(View view, MemberSlot slot);
/// A draining member is needed again: nobody else is left. The slot must be draining; it keeps its seniority.
[[nodiscard]] View with_reactivated(View view, MemberSlot slot);
/// The member was *seen dead*. The slot must be joining, active or draining.
[[nodiscard]] View with_failed(View view, MemberSlot slot);
/// The member left cleanly. The slot must be joining, active or draining.
[[nodiscard]] View with_retired(View view, MemberSlot slot);
/// A global rollback: the next generation.
[[nodiscard]] View with_next_generation(View view);

/// What an observer knows of the process in a slot.
enum class Liveness : std::uint8_t {
    alive,  ///< Nothing known against it (also: a slot without process).
    dead,   ///< Seen dead through its pidfd; nothing it wrote can follow.
    hung    ///< No heartbeat and not traced: not dead yet, must be killed and seen dead.
};
using LivenessTable = std::array<Liveness, member_count_max>;

/// The oldest ACTIVE member of `view` that is `alive` in `liveness`, or, if there is none, the oldest DRAINING one that
/// is; nothing if nobody is left.
[[nodiscard]] std::optional<MemberSlot> coordinator_of(const View& view, const LivenessTable& liveness);

/// Form of a MemberEntry in shared memory.
struct MemberEntryImage {
    std::uint64_t order;        //  0
    std::uint32_t incarnation;  //  8
    std::uint8_t state;         // 12  MemberState
    std::uint8_t reserved[3];   // 13
};
static_assert(sizeof(MemberEntryImage) == 16 && offsetof(MemberEntryImage, incarnation) == 8 &&
              offsetof(MemberEntryImage, state) == 12);

/// Form of a View in shared memory. A reader copies it and then looks again at the ViewWord that named it: unchanged
/// means that the copy is whole, because the proposer that owns the buffer writes only buffers that are not current.
/// `check` catches what a dead or broken writer may leave all the same.
struct alignas(64) ViewImage {
    std::uint64_t number;                        //  0
    std::uint64_t next_order;                    //  8
    std::uint32_t generation;                    // 16
    std::uint32_t reserved0;                     // 20
    std::uint64_t check;                         // 24  over all other bytes
    std::uint64_t reserved[4];                   // 32
    MemberEntryImage members[member_count_max];  // 64
};
static_assert(sizeof(ViewImage) == 64 + 16 * member_count_max && offsetof(ViewImage, check) == 24 &&
              offsetof(ViewImage, members) == 64);

[[nodiscard]] ViewImage image_of(const View& view) noexcept;
/// Nothing if the image is torn or holds a state that does not exist.
[[nodiscard]] std::optional<View> view_of(const ViewImage& image) noexcept;

/// The word `current` on which one compare-and-swap decides between proposals: number of the view and the buffer that
/// holds it. Each slot owns two buffers, 2 * slot and 2 * slot + 1, and writes the one that is not current. Number 0
/// (an all-zero word) is the empty view and names no buffer.
struct ViewWord {
    std::uint64_t bits{};  ///< number 48 bits (high), buffer 16 bits (low).

    [[nodiscard]] static constexpr ViewWord make(ViewNumber number, std::uint32_t buffer) noexcept {
        return ViewWord{(number.value << 16U) | (buffer & 0xFFFFU)};
    }
    [[nodiscard]] constexpr ViewNumber number() const noexcept { return ViewNumber{bits >> 16U}; }
    [[nodiscard]] constexpr std::uint32_t buffer() const noexcept { return static_cast<std::uint32_t>(bits & 0xFFFFU); }
    /// The buffer that `proposer` must write its next proposal to while this word is current.
    [[nodiscard]] constexpr std::uint32_t spare_buffer_of(MemberSlot proposer) const noexcept {
        const std::uint32_t first = 2 * proposer.value;
        return number().value != 0 && buffer() == first ? first + 1 : first;
    }
    friend constexpr bool operator==(ViewWord, ViewWord) = default;
};
static_assert(sizeof(ViewImage) <= view_buffer_size);

}  // namespace phoenix
