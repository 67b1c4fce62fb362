#pragma once
/// Level-triggered membership: from what a member sees, what it should do next. Pure; every action is one atomic
/// operation that is idempotent or fails harmlessly, so whoever observes the same state can go on where another died.

#include "membership/directory.hpp"
#include "membership/location.hpp"
#include "membership/placement_rule.hpp"
#include "membership/view.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace phoenix {

/// State a member publishes of itself in its record of the member table.
enum class PublishedState : std::uint8_t {
    empty = 0,
    joining,  ///< Attached and ready to be admitted. Takes no VNode before it is ACTIVE in a view with its own
              ///< incarnation: until then words that name its slot mean its predecessor.
    active,   ///< Saw itself ACTIVE in a view.
    leaving   ///< Leaves cleanly: starts no step, publishes no commit, takes no VNode and decides nothing from here on,
              ///< unless it comes back (Observation::waits_to_retire).
};

/// A member's own record as the observer saw it.
/// Contract with the member table: a slot gets a new incarnation only after its former process has left, was retired by
/// a view and is seen dead (vacancy.hpp). decide() also stands a successor of one that failed, without counting it.
struct PublishedMember {
    PublishedState state{PublishedState::empty};
    Incarnation incarnation{};
    std::uint64_t ticket{};  ///< Drawn at attach; decides who founds and the seniority of those admitted together.
    bool retire_wanted{};    ///< It, or a command, asked that it drain and leave; stands until it is refused.
    std::uint64_t taking{};  ///< Bit d: it executes steps of domain d now, so what it is given there goes on at once.
    /// It carries messages and states to other nodes and executes nothing: it answers for VNodes that are elsewhere,
    /// decides nothing and is not counted among the members that must come.
    bool is_port{};
    std::uint32_t numa{};  ///< NUMA node it is bound to + 1; 0: to none.
};

enum class NameSpaceKind : std::uint8_t {
    domain,  ///< State lies in shared memory: the coordinator places and recovers.
    space    ///< Names are assumed and released by the application; death of an owner loses them.
};

struct DomainObservation {
    NameSpaceKind kind{NameSpaceKind::domain};
    /// Directory words, read once each (acquire). An empty span is a domain that is closed.
    std::span<const AtomicDirectoryWord> words;
    /// Standing move requests, as many as words; empty: nothing moves between living members here.
    std::span<const AtomicMoveRequest> requests{};
    /// Where the VNodes are, as many as words; empty: the job has one node, all are here.
    std::span<const AtomicLocationWord> locations{};
    PlacementRule rule{};  ///< Of a domain.

    [[nodiscard]] bool is_here(std::size_t vnode) const noexcept {
        // Acquire: pairs with the port's change, after the state was stored.
        return locations.empty() || LocationWord{locations[vnode].load(std::memory_order_acquire)}.here();
    }
};

struct Observation {
    const View* view{};  ///< The current view; never null.
    std::array<PublishedMember, member_count_max> published{};
    LivenessTable liveness{};  ///< Of the process that published; the observer itself is always alive.
    MemberSlot self{};
    /// `self` has drained, publishes that it leaves and waits for the view that retires it. If nobody else is left who
    /// could make that view, decide() proposes one with `self` ACTIVE; to carry that out it publishes that it stays,
    /// then changes the view, and only when that has succeeded it waits no longer. Whoever had seen it leave proposes
    /// against the view before, and fails.
    bool waits_to_retire{};
    std::uint32_t expected_member_count{1};      ///< Members the launcher starts.
    std::uint32_t lost_before_join{};            ///< Of those, how many are known to have ended before they had a slot.
    bool start_time_over{};                      ///< No longer wait for expected members.
    std::uint32_t keepers_elsewhere{};           ///< ACTIVE members of other nodes, as their ports have said.
    std::span<const DomainObservation> domains;  ///< All domains of the job.
    bool look_at_words{true};  ///< False: nothing changed in view or directory; no word is read, none reassigned.
    bool balance{};            ///< Move VNodes to members that came and away from those that drain.
    std::size_t reassign_max{std::numeric_limits<std::size_t>::max()};  ///< Of one decision; the next continues.
};

/// One compare-and-swap on the directory word of (domain, vnode): `expected` -> `desired`. A failed one is dropped.
struct Reassign {
    std::uint32_t domain{};  ///< Index into Observation::domains.
    VNodeId vnode{};
    DirectoryWord expected{};
    DirectoryWord desired{};
    friend bool operator==(const Reassign&, const Reassign&) = default;
};

/// A store into the move request of (domain, vnode). Whoever else stores there meanwhile has as good a wish.
struct Move {
    std::uint32_t domain{};
    VNodeId vnode{};
    MoveRequest request{};
    friend bool operator==(const Move&, const Move&) = default;
};

/// A VNode of a space whose owner died: its state died with it, the run cannot be completed.
struct LostName {
    std::uint32_t domain{};
    VNodeId vnode{};
    MemberSlot owner{};
    friend bool operator==(const LostName&, const LostName&) = default;
};

/// The application's placement of a domain gave something that cannot be used.
struct Misplaced {
    std::uint32_t domain{};
    PlacementFault fault;
    friend bool operator==(const Misplaced&, const Misplaced&) = default;
};

/// What to do next; at most one of the parts is set, later ones only make sense once earlier ones are done:
///  - kills:     send SIGKILL through the pidfd, then observe again until it is seen dead. Nothing else is decided
///               while a hung member lives, because it might wake up and act.
///  - proposal:  write it into the own spare buffer, one compare-and-swap of the ViewWord from `view->number`.
///  - reassigns: one compare-and-swap each.
///  - lost:      end the run with a typed error.
///  - misplaced: the same: the application's placement gave something that cannot be used.
///  - moves:     store each request, tell its owner.
///  - refusals:  members that cannot retire because nobody else is left: take their wish back. Comes with any other
///  part.
/// All empty: nothing to do for this member until something changes. After carrying anything out, observe again.
struct Decision {
    std::vector<MemberSlot> kills;
    std::optional<View> proposal;
    std::vector<Reassign> reassigns;
    std::vector<LostName> lost;
    std::optional<Misplaced> misplaced;
    std::vector<Move> moves;
    std::vector<MemberSlot> refusals;
    bool balance_waits{};  ///< More is to be moved once its receivers execute steps; look again then.

    [[nodiscard]] bool nothing() const noexcept {
        return kills.empty() && !proposal && reassigns.empty() && lost.empty() && !misplaced && moves.empty() &&
               refusals.empty();
    }
};

/// Who acts on `observation`: the oldest ACTIVE live member of the view that is not leaving, else the oldest DRAINING
/// one, or, if there is none, the live member with the lowest ticket that waits for admission (founder). If there is no
/// member at all and other nodes have some, the port: it brings the VNodes there; a new port also to admit itself. Else
/// nobody: the work is done.
[[nodiscard]] std::optional<MemberSlot> acting_member(const Observation& observation);

/// True once VNodes that never had an owner are to be placed: every expected member is ACTIVE, or has come and gone, or
/// the start time is over.
[[nodiscard]] bool placement_open(const Observation& observation);

/// The next actions of `observation.self`; empty unless it is the acting member.
///
/// A view changes before words do: dead -> FAILED, leaving (dead or not) -> RETIRED, since the acting member stays,
/// joining -> ACTIVE (in a reused slot only when no word names the slot, else the newcomer would be taken for
/// the owner; a founder with nobody to adopt them first makes such words nobody's). Words of members that are FAILED or
/// RETIRED then go to live ACTIVE ones as RECOVERING.
/// A member that wants to retire becomes DRAINING while another stays ACTIVE, here or on another node, and ACTIVE again
/// if nobody else is left.
/// VNodes that are on another node are the port's, the oldest one's if there are several; those that are here and the
/// port's are on their way, and a member's again if it dies. With no ACTIVE member here, but on other nodes, what would
/// be a member's goes to the port, which brings it there.
/// Who gets what is said by the domain's rule (placement_rule.hpp). What never had an owner waits for a rule that is
/// not known yet. With `balance`, VNodes of domains are then asked to move. A member that takes is preferred for those
/// of the dead. A leaving member is never killed: it has promised to touch no VNode. Words of a space go to nobody if
/// the owner has retired, and are lost if it died.
/// @cost O(members), and O(V) with `look_at_words` when no proposal is due.
[[nodiscard]] Decision decide(const Observation& observation);

}  // namespace phoenix
