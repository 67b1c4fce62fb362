#pragma once
/// The directory word: who owns a VNode. One 64-bit atomic per VNode, changed by compare-and-swap only (rule 17).

#include "base/check.hpp"
#include "base/ids.hpp"

#include <atomic>
#include <cstdint>

namespace phoenix {

enum class OwnerState : std::uint8_t {
    unassigned = 0,  ///< Nobody's; messages to it wait. An all-zero word is this.
    active,          ///< The owner executes it.
    moving,          ///< Given by a live owner at its step boundary; the new owner has yet to take it.
    recovering  ///< Given by the coordinator; the new owner restores the last commit (or initialises) and activates.
};

/// Value of a directory word. Invariants: `version` grows by one with every change of owner (also to nobody) and with
/// nothing else, so that "same version" means "same owner, without interruption"; a word that is not `unassigned` is
/// activated only by the process in its owner slot.
struct DirectoryWord {
    std::uint64_t bits{};  ///< owner slot 20 bits (63..44), state 4 bits (43..40), version 40 bits (39..0).

    static constexpr std::uint64_t version_mask = (std::uint64_t{1} << 40U) - 1;
    static constexpr std::uint32_t slot_max = (1U << 20U) - 1;

    [[nodiscard]] static constexpr DirectoryWord make(MemberSlot owner, OwnerState state, std::uint64_t version) {
        PHOENIX_CHECK(owner.value <= slot_max && version <= version_mask);
        return DirectoryWord{(std::uint64_t{owner.value} << 44U) | (static_cast<std::uint64_t>(state) << 40U) |
                             version};
    }

    /// Meaningless while unassigned (0).
    [[nodiscard]] constexpr MemberSlot owner() const noexcept {
        return MemberSlot{static_cast<std::uint32_t>(bits >> 44U)};
    }
    [[nodiscard]] constexpr OwnerState state() const noexcept { return static_cast<OwnerState>((bits >> 40U) & 0xFU); }
    [[nodiscard]] constexpr std::uint64_t version() const noexcept { return bits & version_mask; }
    [[nodiscard]] constexpr bool assigned() const noexcept { return state() != OwnerState::unassigned; }
    [[nodiscard]] constexpr bool owned_by(MemberSlot slot) const noexcept { return assigned() && owner() == slot; }
    [[nodiscard]] constexpr bool executed_by(MemberSlot slot) const noexcept {
        return state() == OwnerState::active && owner() == slot;
    }
    /// What a sender compares after its fence (rule 3): activation alone does not make it send again.
    [[nodiscard]] constexpr bool same_ownership(DirectoryWord other) const noexcept {
        return version() == other.version();
    }
    friend constexpr bool operator==(DirectoryWord, DirectoryWord) = default;

    /// Live hand-over by the present owner, from its step boundary, after its commit. From active.
    [[nodiscard]] constexpr DirectoryWord given_to(MemberSlot new_owner) const {
        PHOENIX_CHECK(state() == OwnerState::active);
        return make(new_owner, OwnerState::moving, version() + 1);
    }
    /// Adoption, by the coordinator: the owner was seen dead or has left, or there is none yet. From any state.
    [[nodiscard]] constexpr DirectoryWord recovered_by(MemberSlot adopter) const {
        return make(adopter, OwnerState::recovering, version() + 1);
    }
    /// By the new owner, when it has scanned the logs and restored. From moving or recovering.
    [[nodiscard]] constexpr DirectoryWord activated() const {
        PHOENIX_CHECK(state() == OwnerState::moving || state() == OwnerState::recovering);
        return make(owner(), OwnerState::active, version());
    }
    /// A name nobody owned is taken by `slot` (Space: assume). From unassigned.
    [[nodiscard]] constexpr DirectoryWord assumed_by(MemberSlot slot) const {
        PHOENIX_CHECK(!assigned());
        return make(slot, OwnerState::moving, version() + 1);
    }
    /// The owner gives the name up (Space: release), or the coordinator for one that has retired.
    [[nodiscard]] constexpr DirectoryWord released() const {
        PHOENIX_CHECK(assigned());
        return make(MemberSlot{0}, OwnerState::unassigned, version() + 1);
    }
};
static_assert(sizeof(DirectoryWord) == 8);

/// A wish that the owner of a VNode hand it over at its next step boundary. Written by the coordinator (balance, drain)
/// or by a command, carried out by the owner. It holds for one version of the directory word: what comes late is
/// nothing, and whoever finds it may carry it out or leave it.
///
/// The receiver is a slot of this node, or another node: then the owner gives the VNode to the port of its own node,
/// which finds the request there, for the version before.
struct MoveRequest {
    static constexpr std::uint32_t node_base = 1U << 16U;  ///< Receivers from here on are nodes.

    std::uint64_t bits{};  ///< receiver slot + 1: 20 bits (63..44), unused 4 bits, version 40 bits (39..0); 0: none.

    [[nodiscard]] static constexpr MoveRequest make(MemberSlot receiver, std::uint64_t version) {
        PHOENIX_CHECK(receiver.value < DirectoryWord::slot_max && version <= DirectoryWord::version_mask);
        return MoveRequest{(std::uint64_t{receiver.value} + 1) << 44U | version};
    }
    [[nodiscard]] constexpr MemberSlot receiver() const noexcept {
        return MemberSlot{static_cast<std::uint32_t>(bits >> 44U) - 1};
    }
    [[nodiscard]] static constexpr MoveRequest to_node(NodeId node, std::uint64_t version) {
        return make(MemberSlot{node_base + node.value}, version);
    }
    [[nodiscard]] constexpr bool asks_for_node() const noexcept { return bits != 0 && receiver().value >= node_base; }
    /// @pre asks_for_node()
    [[nodiscard]] constexpr NodeId node() const noexcept { return NodeId{receiver().value - node_base}; }
    [[nodiscard]] constexpr std::uint64_t version() const noexcept { return bits & DirectoryWord::version_mask; }
    /// Whether `word` is the ownership it was made for, and it asks for a change.
    [[nodiscard]] constexpr bool holds_for(DirectoryWord word) const noexcept {
        return bits != 0 && (bits & DirectoryWord::version_mask) == word.version() && word.assigned() &&
               receiver() != word.owner();
    }
    friend constexpr bool operator==(MoveRequest, MoveRequest) = default;
};
static_assert(sizeof(MoveRequest) == 8);

/// A directory word in shared memory (bits of a DirectoryWord).
using AtomicDirectoryWord = std::atomic<std::uint64_t>;
/// A move request in shared memory (bits of a MoveRequest).
using AtomicMoveRequest = std::atomic<std::uint64_t>;

}  // namespace phoenix
