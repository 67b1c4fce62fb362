#pragma once
/// What each node of a job gets: its share of the members and of the faults that are planned. Pure.

#include "control/fault_plan.hpp"
#include "pflight/member_name.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix::pflight {

/// Members of each node: blocks as even as possible, the larger ones first. @pre 0 < nodes <= members
[[nodiscard]] std::vector<std::uint32_t> member_shares(std::uint32_t members, std::uint32_t nodes);

/// Where member `member` of the job is, counted over the nodes in order; nothing beyond the last one.
[[nodiscard]] std::optional<MemberName> place_of(std::uint32_t member, std::span<const std::uint32_t> shares);

/// The schedule of each node. Kills, retirements, joins and kills of ports go to nodes that the seed draws, so that
/// node 0 keeps a member unless `replaced` says that the dead are replaced; every node makes all the moves.
/// @error invalid_argument  There are more losses than that allows.
[[nodiscard]] tl::expected<std::vector<Chaos>, Failure> chaos_of_nodes(const Chaos& chaos,
                                                                       std::span<const std::uint32_t> shares,
                                                                       bool replaced);

/// The plan of each node: `faults`, whose members are counted over all nodes, and then `chaos`. The coordinator meant
/// is that of node 0, where planned joins go as well.
/// @error invalid_argument  There is no such member or node; too many losses; too many faults for a node.
[[nodiscard]] tl::expected<std::vector<std::vector<PlannedFault>>, Failure> faults_of_nodes(
    std::span<const PlannedFault> faults, const std::optional<Chaos>& chaos, std::span<const std::uint32_t> shares,
    bool replaced);

}  // namespace phoenix::pflight
