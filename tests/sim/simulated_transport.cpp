#include "sim/simulated_transport.hpp"

#include <algorithm>
#include <stdexcept>

namespace phoenix::sim {

// ---- network -----------------------------------------------------------------------------------------------------

SimulatedNetwork::~SimulatedNetwork() = default;

std::unique_ptr<SimulatedTransport> SimulatedNetwork::start(NodeId node, TransportEvents& events) {
    if (processes_.contains(node)) throw std::logic_error{"this node has a process"};
    auto process = std::make_unique<SimulatedTransport>(*this, node, SessionId{++sessions_}, events);
    processes_[node] = process.get();
    return process;
}

void SimulatedNetwork::kill(SimulatedTransport& process) {
    if (std::exchange(process.dead_, true)) return;
    processes_.erase(process.node_);
    for (const auto& [peer, end] : process.ends_) {
        end->ended = true;
        // Of what is under way a part arrives, the rest died with the sender: later events find this end gone.
        if (const auto other = end->other.lock())
            for (auto& lane : other->arriving)
                while (!lane.empty() && !lane.back().placed && draw(1) == 0) lane.pop_back();
    }
    const NodeId node = process.node_;
    const SessionId session = process.session_;
    at(now_ns_ + draw(options_.detection_max_ns), [this, node, session] { detect_death(node, session); });
}

void SimulatedNetwork::detect_death(NodeId node, SessionId session) {
    for (const auto& [peer, process] : processes_) {
        const auto end = process->find(node);
        if (end == nullptr || !end->up || end->peer_session != session || end->tell_lost) continue;
        if (process_of(node) != nullptr && !is_cut(node, peer))
            end->redial = true;
        else
            process->lose(end, LinkEnd::died);
    }
}

void SimulatedNetwork::cut(NodeId left, NodeId right) {
    cuts_.insert(std::minmax(left, right));
    for (const auto& [node, peer] : {std::pair{left, right}, std::pair{right, left}}) {
        SimulatedTransport* const process = process_of(node);
        const auto end = process != nullptr ? process->find(peer) : nullptr;
        if (end == nullptr || !end->up) continue;
        const NodeId from = node;
        const std::weak_ptr<SimulatedTransport::End> watched = end;
        at(now_ns_ + options_.timeout_ns, [this, watched, from] {
            const auto still = watched.lock();
            SimulatedTransport* const owner = process_of(from);
            if (still != nullptr && owner != nullptr && !still->ended && is_cut(from, still->peer))
                owner->lose(still, LinkEnd::unreachable);
        });
    }
}

void SimulatedNetwork::heal(NodeId left, NodeId right) {
    cuts_.erase(std::minmax(left, right));
    for (const auto& [from, to] : {std::pair{left, right}, std::pair{right, left}}) {
        SimulatedTransport* const process = process_of(from);
        const auto end = process != nullptr ? process->find(to) : nullptr;
        if (end == nullptr) continue;
        const auto other = end->other.lock();
        for (const auto& what : std::exchange(end->held, {}))
            if (other != nullptr && !other->ended) what(*other);
    }
}

bool SimulatedNetwork::is_cut(NodeId left, NodeId right) const { return cuts_.contains(std::minmax(left, right)); }

SimulatedTransport* SimulatedNetwork::process_of(NodeId node) const {
    const auto found = processes_.find(node);
    return found == processes_.end() ? nullptr : found->second;
}

bool SimulatedNetwork::step() {
    if (events_.empty()) return false;
    const auto first = events_.begin();
    now_ns_ = std::max(now_ns_, first->first);
    const std::function<void()> what = std::move(first->second);
    events_.erase(first);
    what();
    return true;
}

// ---- one process -------------------------------------------------------------------------------------------------

SimulatedTransport::SimulatedTransport(SimulatedNetwork& network, NodeId node, SessionId session,
                                       TransportEvents& events)
    : network_(network), node_(node), session_(session), events_(events) {}

SimulatedTransport::~SimulatedTransport() {
    if (dead_) return;
    for (const auto& [peer, end] : ends_)
        if (const auto other = end->other.lock(); other != nullptr && !other->ended) other->tell_lost = LinkEnd::closed;
    network_.processes_.erase(node_);
}

SimulatedTransport::EndPointer SimulatedTransport::find(NodeId peer) const {
    const auto found = ends_.find(peer);
    return found == ends_.end() ? nullptr : found->second;
}

tl::expected<void, Failure> SimulatedTransport::connect(NodeId peer, std::string_view) {
    if (peer == node_) return refusal(Errc::invalid_argument, "A node needs no link to itself.");
    if (dead_ || find(peer) != nullptr) return {};
    auto end = std::make_shared<End>();
    end->peer = peer;
    ends_[peer] = end;
    call(end);
    return {};
}

void SimulatedTransport::call(const EndPointer& end) {
    const std::weak_ptr<End> caller = end;
    network_.at(network_.now_ns() + network_.draw(network_.options_.delay_max_ns), [this, caller] {
        const EndPointer mine = caller.lock();
        if (mine == nullptr || mine->ended || mine->up) return;
        SimulatedTransport* const other = network_.process_of(mine->peer);
        if (other == nullptr || network_.is_cut(node_, mine->peer))
            lose(mine, LinkEnd::unreachable);
        else
            join(mine, *other);
    });
}

void SimulatedTransport::join(const EndPointer& mine, SimulatedTransport& other) {
    EndPointer theirs = other.find(node_);
    if (theirs == nullptr || theirs->up) {
        theirs = std::make_shared<End>();
        theirs->peer = node_;
        // What the other side knows of an earlier link ends when it is told so, in its poll().
        other.joins_.push_back(theirs);
    }
    for (const auto& [end, peer, session] :
         {std::tuple{mine, theirs, other.session_}, std::tuple{theirs, mine, session_}}) {
        end->up = true;
        end->other = peer;
        end->peer_session = session;
        end->tell_connected = true;
    }
    transmit(mine);
    other.transmit(theirs);
}

void SimulatedTransport::disconnect(NodeId peer) {
    const EndPointer end = find(peer);
    if (end == nullptr) return;
    if (const auto other = end->other.lock(); other != nullptr && !other->ended) other->tell_lost = LinkEnd::closed;
    drop(end);
    ends_.erase(peer);
}

tl::expected<void, Failure> SimulatedTransport::send(NodeId peer, const Outgoing& outgoing) {
    const EndPointer end = find(peer);
    if (end == nullptr) return refusal(Errc::member_lost, "There is no link to this node.");
    auto frame = std::make_shared<Frame>();
    for (const auto& piece : outgoing.pieces) frame->size += piece.size();
    if (outgoing.head.size() > frame_head_max || (outgoing.lane == Lane::prompt && frame->size > prompt_size_max()))
        return refusal(Errc::invalid_argument, "The frame is too large for its lane.");
    frame->type = outgoing.type;
    frame->lane = outgoing.lane;
    frame->head.assign(outgoing.head.begin(), outgoing.head.end());
    frame->pieces.assign(outgoing.pieces.begin(), outgoing.pieces.end());
    frame->cookie = outgoing.cookie;
    if (outgoing.copy) {
        frame->copy = bytes_of(*frame);
        frame->pieces = {std::span<const std::byte>{frame->copy}};
    }
    end->bytes += frame->size + frame->head.size();
    end->retained[static_cast<std::size_t>(outgoing.lane)].push_back(frame);
    if (end->up) transmit(end);
    return {};
}

std::vector<std::byte> SimulatedTransport::bytes_of(const Frame& frame) {
    std::vector<std::byte> bytes;
    for (const auto& piece : frame.pieces) bytes.insert(bytes.end(), piece.begin(), piece.end());
    return bytes;
}

void SimulatedTransport::transmit(const EndPointer& end) {
    const SimulatedNetwork::Options& options = network_.options_;
    for (std::size_t lane = 0; lane < lane_count; ++lane)
        for (; end->sent[lane] < end->retained[lane].size(); ++end->sent[lane]) {
            const std::shared_ptr<const Frame> frame = end->retained[lane][end->sent[lane]];
            std::uint64_t time = network_.now_ns() + network_.draw(options.delay_max_ns);
            if (options.break_one_in != 0 && network_.draw(options.break_one_in - 1) == 0)
                time += network_.draw(options.repair_max_ns);
            time = std::max(time, end->arrival_ns[lane]);
            end->arrival_ns[lane] = time + network_.draw(options.delay_max_ns);
            carry(end, time, [frame, lane](End& to) { to.arriving[lane].push_back({frame}); });
            carry(end, end->arrival_ns[lane], [frame, lane](End& to) {
                for (Arriving& arriving : to.arriving[lane])
                    if (arriving.frame == frame) arriving.complete = true;
            });
        }
}

bool SimulatedTransport::writable(NodeId peer) const {
    const EndPointer end = find(peer);
    return end != nullptr && end->bytes < network_.options_.unacknowledged_soft_bytes;
}

LinkStatus SimulatedTransport::status(NodeId peer) const {
    const EndPointer end = find(peer);
    LinkStatus status;
    if (end == nullptr) return status;
    status.state = end->up ? LinkState::up : LinkState::connecting;
    status.session = end->peer_session;
    status.unacknowledged_frames = end->retained[0].size() + end->retained[1].size();
    status.unacknowledged_bytes = end->bytes;
    return status;
}

std::vector<NodeId> SimulatedTransport::peers() const {
    std::vector<NodeId> result;
    for (const auto& [peer, end] : ends_) result.push_back(peer);
    return result;
}

void SimulatedTransport::resume(NodeId peer) {
    if (const EndPointer end = find(peer)) end->standing = {};
}

void SimulatedTransport::lose(const EndPointer& end, LinkEnd reason) {
    if (!end->ended && !end->tell_lost) end->tell_lost = reason;
}

/// Ends it without a word; what was placed goes back.
void SimulatedTransport::drop(const EndPointer& end) {
    if (std::exchange(end->ended, true)) return;
    for (auto& lane : end->arriving)
        for (const Arriving& arriving : std::exchange(lane, {}))
            if (arriving.landing.address() != nullptr) events_.withdrawn(end->peer, arriving.landing.address());
}

std::size_t SimulatedTransport::poll(int) {
    if (dead_) return 0;
    std::size_t handled = 0;
    for (const EndPointer& end : std::exchange(joins_, {})) replace(find(end->peer), end);
    const std::map<NodeId, EndPointer> all = ends_;
    for (const auto& [peer, end] : all)
        if (find(peer) == end) handled += handle(end);
    return handled;
}

void SimulatedTransport::replace(const EndPointer& old, const EndPointer& fresh) {
    fresh->restarted = old != nullptr && old->up;
    if (old != nullptr) drop(old);
    ends_[fresh->peer] = fresh;
}

std::size_t SimulatedTransport::handle(const EndPointer& end) {
    std::size_t handled = 0;
    if (end->redial && !end->tell_lost) {
        SimulatedTransport* const successor = network_.process_of(end->peer);
        if (successor != nullptr && !network_.is_cut(node_, end->peer)) {
            const auto fresh = std::make_shared<End>();
            fresh->peer = end->peer;
            replace(end, fresh);
            join(fresh, *successor);
            return 1 + handle(fresh);
        }
        lose(end, LinkEnd::died);
    }
    if (std::exchange(end->tell_connected, false)) {
        if (std::exchange(end->restarted, false)) events_.peer_restarted(end->peer);
        if (!end->ended) events_.connected(end->peer, end->peer_session);
        ++handled;
    }
    for (std::size_t lane = 0; lane < lane_count; ++lane) {
        while (!end->ended && end->acknowledged[lane] > 0) {
            --end->acknowledged[lane];
            const auto frame = end->retained[lane].front();
            end->retained[lane].pop_front();
            --end->sent[lane];
            end->bytes -= frame->size + frame->head.size();
            if (frame->cookie != 0) events_.acknowledged(end->peer, frame->cookie);
            ++handled;
        }
        if (!end->ended) handled += deliver(end, lane);
    }
    if (end->ended || !end->tell_lost) return handled;
    const LinkEnd reason = *end->tell_lost;
    drop(end);
    if (find(end->peer) == end) ends_.erase(end->peer);
    events_.link_lost(end->peer, reason, name_of(reason));
    return handled + 1;
}

bool SimulatedTransport::place(const EndPointer& end, Arriving& arriving) {
    const Frame& frame = *arriving.frame;
    const Landing landing = events_.place(end->peer, {frame.type, frame.lane, frame.size, frame.head});
    if (end->ended) {
        if (landing.address() != nullptr) events_.withdrawn(end->peer, landing.address());
        return false;
    }
    if (landing.kind() == Landing::Kind::later) {
        end->standing[static_cast<std::size_t>(frame.lane)] = true;
        return false;
    }
    arriving.placed = true;
    arriving.landing = landing;
    return true;
}

std::size_t SimulatedTransport::deliver(const EndPointer& end, std::size_t lane) {
    std::size_t handled = 0;
    auto& queue = end->arriving[lane];
    // As over several connections: the beginning of the second bulk frame may come before the end of the first.
    for (std::size_t i = 0; lane == 1 && i < queue.size() && i < 2 && !end->standing[lane]; ++i)
        if (!queue[i].placed && (!place(end, queue[i]) || end->ended)) return handled;
    while (!end->ended && !end->standing[lane] && !queue.empty() && queue.front().complete) {
        if (!queue.front().placed && !place(end, queue.front())) return handled;
        const Arriving arriving = queue.front();
        queue.pop_front();
        const Frame& frame = *arriving.frame;
        std::vector<std::byte> bytes = bytes_of(frame);
        events_.frame(end->peer, {frame.type, frame.lane, frame.size, frame.head}, arriving.landing.fill(bytes));
        if (!end->ended) acknowledge(end, lane);
        ++handled;
    }
    return handled;
}

void SimulatedTransport::acknowledge(const EndPointer& end, std::size_t lane) {
    const std::uint64_t time = network_.now_ns() + network_.draw(network_.options_.delay_max_ns);
    end->acknowledgement_ns[lane] = std::max(end->acknowledgement_ns[lane], time);
    carry(end, end->acknowledgement_ns[lane], [lane](End& sender) { ++sender.acknowledged[lane]; });
}

void SimulatedTransport::carry(const EndPointer& end, std::uint64_t time_ns, std::function<void(End&)> what) {
    const std::weak_ptr<End> from = end;
    const NodeId node = node_;
    SimulatedNetwork& network = network_;
    network.at(time_ns, [&network, from, node, what = std::move(what)] {
        const EndPointer sender = from.lock();
        if (sender == nullptr || sender->ended) return;
        // Behind what waits for the network to be whole again, in order.
        if (network.is_cut(node, sender->peer) || !sender->held.empty())
            sender->held.push_back(what);
        else if (const EndPointer to = sender->other.lock(); to != nullptr && !to->ended)
            what(*to);
    });
}

}  // namespace phoenix::sim
