#include "runtime/port_links.hpp"

#include <utility>

namespace phoenix {

std::vector<NodeId> PortLinks::peers_up() const {
    std::vector<NodeId> peers;
    for (std::uint32_t node = 0; node < nodes_; ++node)
        if (up_[node]) peers.push_back(NodeId{node});
    return peers;
}

std::uint64_t PortLinks::add(NodeId peer, Done done) {
    if (!done) return 0;
    tickets_.emplace(++next_cookie_, Ticket{peer, std::move(done)});
    return next_cookie_;
}

bool PortLinks::post(NodeId peer, FrameType type, Lane lane, std::span<const std::byte> head,
                     std::span<const std::span<const std::byte>> pieces, Done done) {
    if (!up(peer)) return false;
    Outgoing outgoing;
    outgoing.type = static_cast<std::uint16_t>(type);
    outgoing.lane = lane;
    outgoing.head = head;
    outgoing.pieces = pieces;
    outgoing.checked = is_checked(type);
    outgoing.cookie = add(peer, std::move(done));
    if (transport_->send(peer, outgoing)) return true;
    tickets_.erase(outgoing.cookie);
    return false;
}

bool PortLinks::post_copy(NodeId peer, FrameType type, std::span<const std::byte> head,
                          std::span<const std::byte> payload, Done done) {
    if (!up(peer)) return false;
    Outgoing outgoing;
    outgoing.type = static_cast<std::uint16_t>(type);
    outgoing.lane = payload.size() <= transport_->prompt_size_max() ? Lane::prompt : Lane::bulk;
    outgoing.head = head;
    const std::array pieces{payload};
    outgoing.pieces = pieces;
    outgoing.copy = true;
    outgoing.cookie = add(peer, std::move(done));
    if (transport_->send(peer, outgoing)) return true;
    tickets_.erase(outgoing.cookie);
    return false;
}

void PortLinks::acknowledged(std::uint64_t cookie) {
    const auto found = tickets_.find(cookie);
    if (found == tickets_.end()) return;
    const Done done = std::move(found->second.done);
    tickets_.erase(found);
    done(true);
}

void PortLinks::ended(NodeId peer) {
    up_[peer.value] = false;
    ready_[peer.value] = 0;
    std::vector<Done> lost;
    for (auto at = tickets_.begin(); at != tickets_.end();) {
        if (at->second.peer != peer) {
            ++at;
            continue;
        }
        lost.push_back(std::move(at->second.done));
        at = tickets_.erase(at);
    }
    for (const Done& done : lost) done(false);
}

}  // namespace phoenix
