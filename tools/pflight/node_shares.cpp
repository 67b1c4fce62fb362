#include "pflight/node_shares.hpp"

#include <fmt/format.h>
#include <numeric>

namespace phoenix::pflight {

namespace {

constexpr std::uint64_t seed_of_places = 0x506C61636573;  // so that places and steps are drawn apart

}  // namespace

std::vector<std::uint32_t> member_shares(std::uint32_t members, std::uint32_t nodes) {
    std::vector<std::uint32_t> shares(nodes, members / nodes);
    for (std::uint32_t node = 0; node < members % nodes; ++node) ++shares[node];
    return shares;
}

std::optional<MemberName> place_of(std::uint32_t member, std::span<const std::uint32_t> shares) {
    for (std::uint32_t node = 0; node < shares.size(); ++node) {
        if (member < shares[node]) return MemberName{node, member};
        member -= shares[node];
    }
    return std::nullopt;
}

tl::expected<std::vector<Chaos>, Failure> chaos_of_nodes(const Chaos& chaos, std::span<const std::uint32_t> shares,
                                                         bool replaced) {
    std::vector<Chaos> nodes(shares.size());
    std::vector<std::uint32_t> spare(shares.size());  // members that the node may lose
    std::uint64_t counter = 0;
    const auto draw = [&](std::uint64_t count) { return random_value(chaos.seed ^ seed_of_places, counter++) % count; };
    for (std::uint32_t node = 0; node < nodes.size(); ++node) {
        nodes[node].seed = random_value(chaos.seed, node);
        nodes[node].moves = chaos.moves;
        spare[node] = shares[node] - (node == 0 ? 1 : 0);  // as FaultWatch: node 0 keeps one
    }
    for (std::uint32_t i = 0; i < chaos.ports; ++i) ++nodes[draw(nodes.size())].ports;
    for (std::uint32_t i = 0; i < chaos.joins; ++i) {
        const std::uint64_t node = draw(nodes.size());
        ++nodes[node].joins;
        ++spare[node];
    }
    const std::uint32_t possible = std::accumulate(spare.begin(), spare.end(), 0U);
    if (chaos.losses() > possible && !replaced)
        return refusal(Errc::invalid_argument,
                       fmt::format("--chaos: of {} kills and retires {} are possible if a member is to be left; write "
                                   "fewer, more members or joins, or --respawn.",
                                   chaos.losses(), possible));
    for (std::uint32_t i = 0; i < chaos.losses(); ++i) {
        std::uint64_t node = draw(nodes.size());
        while (!replaced && spare[node] == 0) node = (node + 1) % nodes.size();
        if (!replaced) --spare[node];
        ++(i < chaos.kills ? nodes[node].kills : nodes[node].retires);
    }
    return nodes;
}

tl::expected<std::vector<std::vector<PlannedFault>>, Failure> faults_of_nodes(std::span<const PlannedFault> faults,
                                                                              const std::optional<Chaos>& chaos,
                                                                              std::span<const std::uint32_t> shares,
                                                                              bool replaced) {
    std::vector<std::vector<PlannedFault>> plans(shares.size());
    for (PlannedFault fault : faults) {
        MemberName place{0, 0};
        if (fault.kind == FaultKind::kill_port) {
            place.node = fault.node;
            if (fault.node >= shares.size())
                return refusal(Errc::invalid_argument,
                               fmt::format("--fault: there is no port {}; with {} nodes they are 0 to {}.", fault.node,
                                           shares.size(), shares.size() - 1));
        } else if (fault.target >= 0) {
            const auto found = place_of(static_cast<std::uint32_t>(fault.target), shares);
            const std::uint32_t members = std::accumulate(shares.begin(), shares.end(), 0U);
            if (!found)
                return refusal(Errc::invalid_argument,
                               fmt::format("--fault: there is no member {}; with -n {} they are 0 to {}, counted over "
                                           "the nodes in order.",
                                           fault.target, members, members - 1));
            place = *found;
            fault.target = static_cast<std::int32_t>(place.slot);
        }
        plans[*place.node].push_back(fault);
    }
    if (chaos) {
        const auto nodes = chaos_of_nodes(*chaos, shares, replaced);
        if (!nodes) return tl::unexpected(nodes.error());
        for (std::uint32_t node = 0; node < plans.size(); ++node)
            for (PlannedFault& fault : chaos_faults((*nodes)[node], static_cast<std::uint32_t>(plans[node].size()))) {
                fault.node = node;
                plans[node].push_back(fault);
            }
    }
    for (const auto& plan : plans)
        if (plan.size() > fault_count_max)
            return refusal(Errc::invalid_argument,
                           fmt::format("{} faults are planned for a node and {} are possible; plan fewer.", plan.size(),
                                       fault_count_max));
    return plans;
}

}  // namespace phoenix::pflight
