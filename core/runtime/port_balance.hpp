#pragma once
/// The port's part in sharing the VNodes of a domain out over the nodes (membership/node_balance.hpp): it tells others
/// how many members and VNodes there are here, and asks for moves when members have come or gone somewhere.

#include "membership/node_balance.hpp"
#include "runtime/port_domain.hpp"

#include <array>
#include <optional>
#include <vector>

namespace phoenix {

/// Threads: the port's only.
class PortBalance {
  public:
    PortBalance(PortNode node, PortDomain& domain);

    /// Counts, tells, asks for moves. @cost O(members); O(V) when VNodes have come or gone, or moves are due.
    void work();
    /// The peer knows nothing of us any more.
    void forget(NodeId peer) noexcept { told_[peer.value].reset(); }
    void take_census(NodeId from, const CensusHead& head) noexcept;

    /// All nodes that still have members have told this port their figures.
    [[nodiscard]] bool heard_from_all() const noexcept;
    /// Members of other nodes that stay, as far as they have said.
    [[nodiscard]] std::uint32_t keepers_elsewhere() const noexcept;
    /// Where VNodes go that cannot stay here: the node with the fewest for each of its members. Nothing if no other
    /// node has members, as far as they have said.
    [[nodiscard]] std::optional<NodeId> refuge() const noexcept;

  private:
    [[nodiscard]] NodeCensus count();
    [[nodiscard]] bool keepers_changed() const noexcept;
    void ask_for_moves(const NodePlan& plan);

    PortNode node_;
    PortDomain* domain_;
    DomainHeader* header_;
    std::array<NodeCensus, node_count_max> known_{};  ///< By node, our own too.
    std::array<std::optional<NodeCensus>, node_count_max> told_{};
    std::uint64_t heard_{0};       ///< Bit n: node n has told us.
    std::uint64_t counted_at_{0};  ///< Changes of locations by then, + 1; 0: not counted yet.
    std::uint32_t vnodes_{0};      ///< By then.
    /// By node: members when all had a fair share. Nothing moves while they are the same, so that VNodes stay where
    /// people have moved them.
    std::array<std::uint32_t, node_count_max> balanced_for_{};
};

}  // namespace phoenix
