#pragma once
/// The member table: who has which slot, how a slot is claimed, left and claimed again.
///
/// Invariant: a slot changes hands by one compare-and-swap of `standing`, which carries the incarnation; every claim
/// makes it one higher. All else in a record belongs to that incarnation: written after the claim, read between two
/// looks at the word (identity_of).
///
///   empty n -> claimed n+1 -> present n+1 <-> leaving n+1 -> empty n+1
///
/// The last arrow is drawn by the coordinator (membership/vacancy.hpp). Who dies `claimed` is succeeded by the next one
/// who looks for a slot; of those that die `present` the slot stays as it is, because the dead are counted by it.

#include "base/process.hpp"
#include "memory/control_segment.hpp"

#include <optional>

namespace phoenix {

/// Value of MemberRecord::standing.
struct Standing {
    std::uint64_t bits{};  ///< incarnation 32 bits (63..32), pid 24 (31..8), enum Presence 8 (7..0).

    [[nodiscard]] static constexpr Standing make(Presence presence, pid_t pid, std::uint32_t incarnation) noexcept {
        return Standing{std::uint64_t{incarnation} << 32U | (static_cast<std::uint64_t>(pid) & 0xFFFFFF) << 8U |
                        static_cast<std::uint64_t>(presence)};
    }
    [[nodiscard]] constexpr Presence presence() const noexcept { return static_cast<Presence>(bits & 0xFFU); }
    [[nodiscard]] constexpr pid_t pid() const noexcept { return static_cast<pid_t>(bits >> 8U & 0xFFFFFF); }
    [[nodiscard]] constexpr std::uint32_t incarnation() const noexcept {
        return static_cast<std::uint32_t>(bits >> 32U);
    }
    [[nodiscard]] constexpr Standing as(Presence presence) const noexcept {
        return make(presence, pid(), incarnation());
    }
    friend constexpr bool operator==(Standing, Standing) = default;
};

/// Who is in a slot, or was the last one in it.
struct MemberIdentity {
    Presence presence{Presence::empty};
    std::uint32_t incarnation{0};  ///< 0: the slot was never used.
    ProcessIdentity process;       ///< Without start time while the slot is being claimed.
    std::uint64_t order{0};
    MemberRole role{MemberRole::executes};
    std::uint32_t numa{0};  ///< NUMA node it is bound to + 1; 0: to none, or not known.

    /// Attached, or gone in good order: the identity is complete.
    [[nodiscard]] bool attached() const noexcept {
        return presence == Presence::present || presence == Presence::leaving;
    }
    [[nodiscard]] bool alive() const noexcept;
};

/// All parts belong to one incarnation. Waits for nobody: looks again only if the slot changed hands meanwhile.
[[nodiscard]] MemberIdentity identity_of(const MemberRecord& record) noexcept;

struct ClaimedSlot {
    std::uint32_t slot{0};
    std::uint32_t incarnation{0};
};
/// Takes the lowest slot that is nobody's for this process, ports the highest, and fills its record, as `claimed`.
/// Nothing if all are in use. Every claim draws a ticket before: slots from ControlHeader::next_order on were never
/// used, but by ports.
[[nodiscard]] std::optional<ClaimedSlot> claim_slot(const ControlSegment& segment,
                                                    MemberRole role = MemberRole::executes) noexcept;

/// By the member itself: whoever sees `presence` sees what it stored before.
void announce(MemberRecord& own, Presence presence) noexcept;

/// Gives back the slot of `incarnation`, which has left and of which nothing remains. False if somebody else did.
bool vacate_slot(const ControlSegment& segment, std::uint32_t slot, std::uint32_t incarnation) noexcept;

/// Value of MemberRecord::retire. One word, so that a wish that comes late never meets the successor in the slot.
struct RetireWord {
    std::uint64_t bits{};  ///< incarnation 24 bits (63..40), drain deadline 38 (39..2; ms of boot time), wish 2 (1..0).

    [[nodiscard]] static constexpr RetireWord make(std::uint32_t incarnation, RetireWish wish,
                                                   std::uint64_t deadline_ns) noexcept {
        const std::uint64_t deadline_ms = (deadline_ns + 999'999) / 1'000'000;
        return RetireWord{std::uint64_t{incarnation & 0xFFFFFF} << 40U | (deadline_ms & 0x3FFFFFFFFF) << 2U |
                          static_cast<std::uint64_t>(wish)};
    }
    [[nodiscard]] constexpr RetireWish wish() const noexcept { return static_cast<RetireWish>(bits & 3U); }
    /// Boot time; 0: it may take as long as it likes.
    [[nodiscard]] constexpr std::uint64_t deadline_ns() const noexcept {
        return (bits >> 2U & 0x3FFFFFFFFF) * 1'000'000;
    }
    [[nodiscard]] constexpr bool is_of(std::uint32_t incarnation) const noexcept {
        return bits >> 40U == (incarnation & 0xFFFFFF);
    }
};

[[nodiscard]] inline RetireWord retire_word(const MemberRecord& record) noexcept {
    return RetireWord{record.retire.load(std::memory_order_acquire)};
}
/// Asks `incarnation` of the slot to drain and leave. False if another one has the slot. Async-signal-safe.
bool ask_to_retire(MemberRecord& record, std::uint32_t incarnation, std::uint64_t deadline_ns) noexcept;

}  // namespace phoenix
