#include "runtime/port_balance.hpp"

#include "memory/member_table.hpp"
#include "memory/occupancy.hpp"

namespace phoenix {

PortBalance::PortBalance(PortNode node, PortDomain& domain)
    : node_(node), domain_(&domain), header_(&domain.header()) {}

NodeCensus PortBalance::count() {
    const MemberContext& context = node_.context;
    const View view = context.current_view();
    NodeCensus census;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        if (!view.is_active(MemberSlot{slot}) || context.is_port(slot)) continue;
        const MemberRecord& record = context.segment().member(slot);
        if (identity_of(record).presence != Presence::present) continue;  // at the end of its program
        ++census.keepers;
        if ((record.taking.load(std::memory_order_acquire) >> header_->index & 1) != 0) ++census.takers;
    }
    if (const std::uint64_t changes = domain_->location_changes() + 1; counted_at_ != changes) {
        counted_at_ = changes;
        vnodes_ = 0;
        for (std::uint32_t v = 0; v < header_->vnodes; ++v)
            if (domain_->location(v).state() != LocationState::away) ++vnodes_;
    }
    census.vnodes = vnodes_;
    return census;
}

void PortBalance::work() {
    const NodeId self = node_.context.node();
    const NodeCensus own = known_[self.value] = count();
    const CensusHead head{header_->index, own.keepers, own.takers, own.vnodes};
    for (const NodeId peer : node_.links.peers_up()) {
        if (!node_.links.ready(peer, header_->index) || told_[peer.value] == own) continue;
        if (node_.links.post_copy(peer, FrameType::census, bytes_of(head))) told_[peer.value] = own;
    }
    const Settings& settings = node_.context.settings;
    if (settings.always_move || settings.verify_replay || !keepers_changed()) return;
    const NodePlan plan =
        plan_node_balance(std::span{known_}.first(node_.links.nodes()), self, std::uint64_t{header_->vnodes});
    if (plan.fair)
        for (std::uint32_t node = 0; node < node_.links.nodes(); ++node) balanced_for_[node] = known_[node].keepers;
    if (!plan.gifts.empty()) ask_for_moves(plan);
}

bool PortBalance::keepers_changed() const noexcept {
    for (std::uint32_t node = 0; node < node_.links.nodes(); ++node)
        if (balanced_for_[node] != known_[node].keepers) return true;
    return false;
}

// Asked are those that have most, those that drain before all others, for their highest VNodes.
void PortBalance::ask_for_moves(const NodePlan& plan) {
    const MemberContext& context = node_.context;
    const View view = context.current_view();
    std::array<std::vector<std::uint32_t>, member_count_max> owned;  // highest last
    std::array<std::uint32_t, node_count_max> asked{};               // before, and not gone yet
    for (std::uint32_t v = 0; v < header_->vnodes; ++v) {
        if (!domain_->location(v).here()) {
            const LocationWord where = domain_->location(v);
            if (where.state() == LocationState::leaving) ++asked[where.node().value];
            continue;
        }
        const DirectoryWord word{context.directory_word(*header_, v).load(std::memory_order_acquire)};
        const MoveRequest request{context.move_request(*header_, v).load(std::memory_order_acquire)};
        // A wish goes with its VNode to the port, where it still stands.
        const bool stands =
            request.asks_for_node() && (request.version() == word.version() || request.version() + 1 == word.version());
        if (stands && request.node().value < node_count_max)
            ++asked[request.node().value];
        else if (word.assigned() && word.owner().value < member_count_max && !context.is_port(word.owner().value))
            owned[word.owner().value].push_back(v);
    }
    bool any = false;
    for (const NodeGift& gift : plan.gifts) {
        const std::uint32_t before = asked[gift.receiver.value];
        for (std::uint32_t i = before; i < gift.vnodes; ++i) {
            const auto drains = [&](std::size_t slot) {
                return view.members[slot].state == MemberState::draining && !owned[slot].empty();
            };
            std::size_t giver = 0;
            for (std::size_t slot = 1; slot < member_count_max; ++slot)
                if (std::pair{drains(slot), owned[slot].size()} > std::pair{drains(giver), owned[giver].size()})
                    giver = slot;
            if (owned[giver].empty()) break;
            const std::uint32_t v = owned[giver].back();
            owned[giver].pop_back();
            const DirectoryWord word{context.directory_word(*header_, v).load(std::memory_order_acquire)};
            context.move_request(*header_, v)
                .store(MoveRequest::to_node(gift.receiver, word.version()).bits, std::memory_order_release);
            any = true;
        }
    }
    if (!any) return;
    header_->move_news.fetch_add(1, std::memory_order_release);
    context.ring_all();
}

void PortBalance::take_census(NodeId from, const CensusHead& head) noexcept {
    known_[from.value] = {head.keepers, head.takers, head.vnodes};
    heard_ |= std::uint64_t{1} << from.value;
}

bool PortBalance::heard_from_all() const noexcept {
    for (std::uint32_t node = 0; node < node_.links.nodes(); ++node) {
        const bool silent = NodeId{node} != node_.context.node() && (heard_ >> node & 1) == 0;
        if (silent && !is_over(node_.context.segment(), NodeId{node})) return false;
    }
    return true;
}

std::uint32_t PortBalance::keepers_elsewhere() const noexcept {
    std::uint32_t keepers = 0;
    for (std::uint32_t node = 0; node < node_.links.nodes(); ++node)
        if (NodeId{node} != node_.context.node()) keepers += known_[node].keepers;
    return keepers;
}

std::optional<NodeId> PortBalance::refuge() const noexcept {
    std::optional<NodeId> best;
    const auto load = [&](NodeId node) {
        return static_cast<double>(known_[node.value].vnodes) / known_[node.value].keepers;
    };
    for (std::uint32_t node = 0; node < node_.links.nodes(); ++node) {
        if (NodeId{node} == node_.context.node() || known_[node].keepers == 0) continue;
        if (!node_.links.ready(NodeId{node}, header_->index)) continue;
        if (!best || load(NodeId{node}) < load(*best)) best = NodeId{node};
    }
    return best;
}

}  // namespace phoenix
