#include "transport/link.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace phoenix {

Link::Link(LinkHost& host, NodeId peer, std::uint64_t life)
    : host_(host),
      peer_(peer),
      life_(life),
      last_heard_ns_(host.loop().now()),
      outbox_{LaneOutbox{prompt_payload_max}, LaneOutbox{host.options().piece_size_bytes}} {}

void Link::connect_to(const SocketAddress& address) {
    address_ = address;
    control_repair_.at_ns = now();
    host_.loop().wake_at(now());
}

void Link::send(const Outgoing& outgoing) {
    outbox_[static_cast<std::size_t>(outgoing.lane)].push(outgoing);
    host_.mark(*this);
}

void Link::end(LinkEnd reason, std::string_view sentence, Tell tell) {
    if (ended_) return;
    if (tell.peer && control_ != nullptr) say_goodbye(reason);
    ended_ = true;
    drop_connection(control_);
    drop_attempt(control_repair_);
    for (Stream& stream : streams_) {
        drop_connection(stream.connection);
        drop_attempt(stream.repair);
    }
    host_.remove(*this);
    inbox_.withdraw(peer_, host_.events());
    if (tell.owner) host_.events().link_lost(peer_, reason, sentence);
}

void Link::close() {
    if (control_ != nullptr) say_goodbye(LinkEnd::closed);
    ended_ = true;
    drop_connection(control_);
    for (Stream& stream : streams_) drop_connection(stream.connection);
}

void Link::violated(std::string_view what) {
    end(LinkEnd::violated, fmt::format("Node {} broke the protocol: {}.", peer_.value, what), {});
}

// Nothing can be sent again over a link that stands but what a lost connection took along; with a new link all is.
void Link::damaged() {
    host_.count_damage();
    end(LinkEnd::damaged, fmt::format("What node {} sent arrived damaged.", peer_.value), {});
}

void Link::reset() {
    for (Stream& stream : streams_) {
        drop_connection(stream.connection);
        drop_attempt(stream.repair);
    }
    streams_.clear();
    outbox_ = {LaneOutbox{prompt_payload_max}, LaneOutbox{host_.options().piece_size_bytes}};
    prompt_standing_ = false;
    accepted_ = announced_ = {};
    unannounced_bytes_ = 0;
    acknowledge_at_ns_ = never;
    mark_.reset();
    inbox_.withdraw(peer_, host_.events());
}

bool Link::takes_stream(std::uint32_t stream, const Introduction& peer) const noexcept {
    return mark_ == Mark{peer.session, peer.life} && stream < streams_.size();
}

bool Link::crossed() const noexcept {
    // The lower node's connection is the one that counts. Before it has said hello the other side knows nothing of it.
    return host_.options().node < peer_ && control_repair_.attempt != nullptr && control_repair_.attempt->talking();
}

void Link::adopt(const Introduction& peer, std::uint32_t stream, FileDescriptor socket, bool called_by_us,
                 const SocketAddress& address) {
    // Where a caller listens is at the address it called from; a new process of the peer listens elsewhere.
    const bool moved = !called_by_us && mark_ && mark_->session != peer.session;
    if (!address_ || moved) address_ = with_port(address, peer.port);
    if (stream == control_stream)
        adopt_control(peer, std::move(socket), called_by_us);
    else
        adopt_data(stream, std::move(socket), called_by_us);
}

void Link::adopt_control(const Introduction& peer, FileDescriptor socket, bool called_by_us) {
    if (called_by_us)
        control_repair_.attempt = nullptr;
    else
        drop_attempt(control_repair_);
    control_repair_.at_ns = never;
    drop_connection(control_);
    watch_peer(socket.get(), host_.options().peer_timeout_ms);
    control_ = std::make_unique<Connection>(host_.loop(), *this, control_stream, std::move(socket));
    control_due_ns_ = never;
    unanswered_beats_ = 0;
    caller_ = called_by_us;
    last_heard_ns_ = now();
    const Mark mark{peer.session, peer.life};
    const bool same = mark_ == mark;
    if (mark_ && !same) {
        reset();
        if (!ended_) host_.events().peer_restarted(peer_);
        if (ended_) return;
    }
    heartbeat_at_ns_ = now();
    host_.loop().wake_at(now());
    host_.mark(*this);
    if (same) {
        ++reconnects_;
    } else {
        mark_ = mark;
        streams_ = std::vector<Stream>(1U + std::min<std::uint32_t>(host_.options().bulk_streams, peer.bulk_streams));
        host_.events().connected(peer_, peer.session);
        if (ended_) return;
    }
    if (!caller_) return;
    for (Stream& stream : streams_)
        if (stream.connection == nullptr && stream.repair.attempt == nullptr) stream.repair.at_ns = now();
}

void Link::adopt_data(std::uint32_t number, FileDescriptor socket, bool called_by_us) {
    Stream& stream = streams_[number];
    if (called_by_us)
        stream.repair.attempt = nullptr;
    else
        drop_attempt(stream.repair);
    drop_connection(stream.connection);
    stream.repair.at_ns = never;
    stream.repair.made_ns = now();
    stream.positioned = false;
    stream.connection = std::make_unique<Connection>(host_.loop(), *this, number, std::move(socket));
    // What an old connection still held is lost with it, and comes again from where this says.
    push_position(*stream.connection, stream.received);
    if (number == 0) prompt_standing_ = false;
    static_cast<void>(write(*stream.connection));
}

void Link::drop_connection(std::unique_ptr<Connection>& connection) {
    if (connection == nullptr) return;
    connection->close();
    host_.loop().bury(std::move(connection));
    connection = nullptr;
}

void Link::drop_attempt(Repair& repair) {
    if (repair.attempt != nullptr) host_.drop(*std::exchange(repair.attempt, nullptr));
}

LinkStatus Link::status() const noexcept {
    LinkStatus status;
    status.state = mark_ ? LinkState::up : LinkState::connecting;
    if (mark_) status.session = mark_->session;
    for (const LaneOutbox& outbox : outbox_) {
        status.unacknowledged_frames += outbox.retained_frames();
        status.unacknowledged_bytes += outbox.retained_bytes();
        status.queued_bytes += outbox.new_bytes();
    }
    status.reconnects = reconnects_;
    status.silent_ns = now() - last_heard_ns_;
    return status;
}

std::uint64_t Link::held_bytes() const noexcept {
    std::uint64_t bytes = 0;
    for (const LaneOutbox& outbox : outbox_)
        bytes += outbox.retained_bytes() + outbox.retained_frames() * sizeof(RetainedFrame);
    return bytes;
}

}  // namespace phoenix
