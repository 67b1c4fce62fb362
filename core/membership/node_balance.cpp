#include "membership/node_balance.hpp"

#include <algorithm>
#include <numeric>

namespace phoenix {

namespace {

/// VNodes each node is to have: the odd ones stay with those that have most beyond their share.
std::vector<std::uint64_t> shares_of(std::span<const NodeCensus> nodes, std::uint64_t vnodes, std::uint64_t keepers) {
    std::vector<std::uint64_t> shares(nodes.size());
    std::vector<std::size_t> order(nodes.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t node = 0; node < nodes.size(); ++node) shares[node] = vnodes / keepers * nodes[node].keepers;
    const auto beyond = [&](std::size_t node) {
        return static_cast<std::int64_t>(nodes[node].vnodes) - static_cast<std::int64_t>(shares[node]);
    };
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return beyond(a) > beyond(b); });
    std::uint64_t odd = vnodes % keepers;
    for (const std::size_t node : order) {
        const std::uint64_t more = std::min<std::uint64_t>(odd, nodes[node].keepers);
        const auto has_more = static_cast<std::uint64_t>(std::max<std::int64_t>(beyond(node), 0));
        const std::uint64_t kept = std::min(more, has_more);
        shares[node] += kept;
        odd -= kept;
    }
    for (const std::size_t node : order) {
        const std::uint64_t room = vnodes / keepers * nodes[node].keepers + nodes[node].keepers - shares[node];
        const std::uint64_t more = std::min(odd, room);
        shares[node] += more;
        odd -= more;
    }
    return shares;
}

}  // namespace

NodePlan plan_node_balance(std::span<const NodeCensus> nodes, NodeId self, std::uint64_t vnodes) {
    std::uint64_t keepers = 0;
    std::uint64_t counted = 0;
    for (const NodeCensus& node : nodes) {
        keepers += node.keepers;
        counted += node.vnodes;
    }
    if (keepers == 0 || counted != vnodes) return {};
    const std::vector<std::uint64_t> shares = shares_of(nodes, vnodes, keepers);
    NodePlan plan;
    plan.fair = true;
    std::size_t receiver = 0;
    std::uint64_t received = 0;
    for (std::size_t giver = 0; giver < nodes.size(); ++giver) {
        std::uint64_t excess = nodes[giver].vnodes > shares[giver] ? nodes[giver].vnodes - shares[giver] : 0;
        plan.fair = plan.fair && excess == 0;
        while (excess != 0 && receiver < nodes.size()) {
            const std::uint64_t has = nodes[receiver].vnodes + received;
            const std::uint64_t missing = shares[receiver] > has ? shares[receiver] - has : 0;
            const std::uint64_t given = std::min(excess, missing);
            if (given == missing) {
                ++receiver;
                received = 0;
            } else {
                received += given;
            }
            excess -= given;
            const std::size_t to = given == missing ? receiver - 1 : receiver;
            if (given != 0 && giver == self.value && nodes[to].takers != 0)
                plan.gifts.push_back({NodeId{static_cast<std::uint32_t>(to)}, static_cast<std::uint32_t>(given)});
        }
    }
    return plan;
}

}  // namespace phoenix
