#pragma once
/// The location word: on which node the state of a VNode lies, as one node knows it. Each node has one word per VNode,
/// in its own shared memory; the directory word beside it says which process of this node answers for the VNode: a
/// member that executes it if the state is here, else the *port*, the process that carries messages and states to
/// other nodes. Pure: values in, values out.
///
/// The hand-over of a VNode from node A to node B (rule 18):
///   1. a member of A gives the VNode to the port of A, as it would to any member (directory word);
///   2. the port: here -> leaving to B, epoch + 1, by compare-and-swap. That is the decision: from here on A executes
///      it no more, and messages that come to A for it go on to B;
///   3. the port sends the state with all messages that it has not consumed. A keeps both;
///   4. the port of B stores them, then: away -> here with that epoch, and gives the VNode to a member of B;
///   5. B says so; A: leaving -> away at B, and only then frees what it kept.
/// Each port may die between any two of these. The next one of A finds `leaving` and sends again; B answers a state
/// that it has, or has had, by saying so again.

#include "base/check.hpp"
#include "base/ids.hpp"

#include <atomic>
#include <cstdint>
#include <optional>

namespace phoenix {

/// The node where what is done once in a job is decided.
inline constexpr NodeId home_node{0};

enum class LocationState : std::uint8_t {
    away = 0,  ///< The state is on `node`, or was when this was learned; nothing of it is kept here.
    here,      ///< The state is on this node.
    leaving    ///< It has been given to `node`, which has not said that it stored it: it is kept here as well.
};

/// Invariants: `epoch` grows by one with every change of node, so of two words that differ the higher one is later; no
/// two nodes are ever `here` at once; an epoch belongs to one node for ever.
struct LocationWord {
    std::uint64_t bits{};  ///< node 12 bits (63..52), state 4 bits (51..48), epoch 48 bits (47..0).

    static constexpr std::uint64_t epoch_mask = (std::uint64_t{1} << 48U) - 1;
    static constexpr std::uint32_t node_max = (1U << 12U) - 1;

    [[nodiscard]] static constexpr LocationWord make(NodeId node, LocationState state, std::uint64_t epoch) {
        PHOENIX_CHECK(node.value <= node_max && epoch <= epoch_mask);
        return LocationWord{(std::uint64_t{node.value} << 52U) | (static_cast<std::uint64_t>(state) << 48U) | epoch};
    }
    /// Where it is; this node while it is `here`.
    [[nodiscard]] constexpr NodeId node() const noexcept { return NodeId{static_cast<std::uint32_t>(bits >> 52U)}; }
    [[nodiscard]] constexpr LocationState state() const noexcept {
        return static_cast<LocationState>((bits >> 48U) & 0xFU);
    }
    [[nodiscard]] constexpr std::uint64_t epoch() const noexcept { return bits & epoch_mask; }
    [[nodiscard]] constexpr bool here() const noexcept { return state() == LocationState::here; }
    friend constexpr bool operator==(LocationWord, LocationWord) = default;

    /// Step 2. From here.
    [[nodiscard]] constexpr LocationWord given_to(NodeId other) const {
        PHOENIX_CHECK(here() && other != node());
        return make(other, LocationState::leaving, epoch() + 1);
    }
    /// Step 4: the state of `epoch` is stored on this node. From away or leaving, with a lower epoch.
    [[nodiscard]] constexpr LocationWord arrived_at(NodeId self, std::uint64_t with_epoch) const {
        PHOENIX_CHECK(!here() && with_epoch > epoch());
        return make(self, LocationState::here, with_epoch);
    }
    /// Step 5. From leaving.
    [[nodiscard]] constexpr LocationWord left() const {
        PHOENIX_CHECK(state() == LocationState::leaving);
        return make(node(), LocationState::away, epoch());
    }
};
static_assert(sizeof(LocationWord) == 8);

/// A location word in shared memory (bits of a LocationWord).
using AtomicLocationWord = std::atomic<std::uint64_t>;

/// Where every VNode is before anything has moved: blocks of VNode numbers, in the order of the nodes, as even as they
/// can be. Every node computes the same. @pre vnode < vnodes, nodes > 0
[[nodiscard]] constexpr NodeId first_node_of(std::uint32_t vnode, std::uint32_t vnodes, std::uint32_t nodes) noexcept {
    return NodeId{static_cast<std::uint32_t>(((std::uint64_t{vnode} + 1) * nodes - 1) / vnodes)};
}

/// What the port does with a message for a VNode.
enum class Route : std::uint8_t {
    deliver,  ///< To the member that has the VNode by its directory word.
    forward,  ///< To the node that the word names, with the epoch of the word.
    hold      ///< The state is on its way here: the message waits in shared memory, for whoever loads the VNode.
};

/// `carried`: the epoch with which another node sent the message here; nothing if it was sent on this node.
///
/// A message never goes in circles: each node that forwards it does so with an epoch that is not lower than the one it
/// came with, and only the node to which an epoch belongs is sent messages of that epoch.
[[nodiscard]] constexpr Route route_of(LocationWord word, std::optional<std::uint64_t> carried) noexcept {
    if (word.here()) return Route::deliver;
    return carried && *carried > word.epoch() ? Route::hold : Route::forward;
}

/// What the port does with a state that has come from another node.
enum class Arrival : std::uint8_t {
    store,       ///< New: store it, then the word, then say so.
    stored_once  ///< It has been stored before (and may have gone on since): say so again.
};
[[nodiscard]] constexpr Arrival arrival_of(LocationWord word, std::uint64_t epoch) noexcept {
    return epoch > word.epoch() ? Arrival::store : Arrival::stored_once;
}

/// True if the word of the sender says that it waits to hear that `node` has stored the state of `epoch`.
[[nodiscard]] constexpr bool waits_for(LocationWord word, NodeId node, std::uint64_t epoch) noexcept {
    return word == LocationWord::make(node, LocationState::leaving, epoch);
}

/// What node `self` may learn from another that forwards its messages. Nothing if it knows better, or if it is itself
/// meant: its own word must not say that a state is known that has yet to come, or it would be taken for an old one.
[[nodiscard]] constexpr std::optional<LocationWord> learned(LocationWord word, NodeId self, NodeId node,
                                                            std::uint64_t epoch) noexcept {
    if (word.state() != LocationState::away || epoch <= word.epoch() || node == self) return std::nullopt;
    return LocationWord::make(node, LocationState::away, epoch);
}

}  // namespace phoenix
