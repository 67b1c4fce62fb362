#pragma once
/// Balance between nodes: how many VNodes of a domain each node gives to which other, so that every member has a fair
/// share wherever it is, and a node that loses its members empties. Pure and deterministic: all nodes that know the
/// same make the same plan, and each carries out its own part of it.

#include "base/ids.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace phoenix {

/// What a node tells the others of itself and a domain.
struct NodeCensus {
    std::uint32_t keepers{};  ///< Members that stay: ACTIVE and alive.
    std::uint32_t takers{};   ///< Of these, how many execute steps of the domain now.
    /// Whose state is here, or on its way to another node that has not said that it has stored it: so every VNode is
    /// counted by one node, and the sum over all nodes is the number of VNodes if nobody's figure is old.
    std::uint32_t vnodes{};
    friend bool operator==(const NodeCensus&, const NodeCensus&) = default;
};

struct NodeGift {
    NodeId receiver{};
    std::uint32_t vnodes{};
    friend bool operator==(const NodeGift&, const NodeGift&) = default;
};

struct NodePlan {
    std::vector<NodeGift> gifts;  ///< Of `self`, to nodes that take at once.
    bool fair{};                  ///< No node has to give anything: done.
};

/// `nodes[n]`: of node n. Afterwards every member that stays has floor or ceiling of the mean, a node without any has
/// nothing, and no smaller number of moves gets there. Nothing moves while the figures do not add up to `vnodes`, or
/// nobody stays anywhere. @cost O(nodes log nodes).
[[nodiscard]] NodePlan plan_node_balance(std::span<const NodeCensus> nodes, NodeId self, std::uint64_t vnodes);

}  // namespace phoenix
