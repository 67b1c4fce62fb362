#include "transport/carried_transport.hpp"

#include "base/clock.hpp"
#include "transport/piece_digest.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <new>
#include <sys/epoll.h>
#include <unistd.h>
#include <utility>

namespace phoenix {

CarriedTransport::CarriedTransport(std::unique_ptr<Carrier> carrier, TransportEvents& owner, CarrierOptions options)
    : carrier_(std::move(carrier)), owner_(owner), options_(std::move(options)) {
    if (!options_.now_ns) options_.now_ns = boot_time_ns;
    options_.size_min = std::max<std::uint64_t>(options_.size_min, 1);
}

CarriedTransport::~CarriedTransport() {
    // Nobody is told anything any more; the base says goodbye to its peers.
    carrier_.reset();
    base_.reset();
    if (watched_ >= 0) close(watched_);
}

void CarriedTransport::use(std::unique_ptr<Transport> base) {
    base_ = std::move(base);
    if (base_->descriptor() < 0 || carrier_->descriptor() < 0) return;
    watched_ = epoll_create1(EPOLL_CLOEXEC);
    for (const int descriptor : {base_->descriptor(), carrier_->descriptor()}) {
        epoll_event event{};
        event.events = EPOLLIN;
        epoll_ctl(watched_, EPOLL_CTL_ADD, descriptor, &event);
    }
}

// ---- what the owner asks -----------------------------------------------------------------------------------------

tl::expected<void, Failure> CarriedTransport::connect(NodeId peer, std::string_view address) {
    return base_->connect(peer, address);
}

void CarriedTransport::disconnect(NodeId peer) {
    base_->disconnect(peer);
    forget(peer);
}

bool CarriedTransport::carries(NodeId node, const Peer& peer) const {
    const auto here = carrier_->place();
    return !broken_ && here && peer.place && peer.told && peer.place->world == here->world &&
           now() >= peer.shunned_until_ns && forbidden_.count(node.value) == 0;
}

tl::expected<void, Failure> CarriedTransport::send(NodeId node, const Outgoing& outgoing) {
    std::uint64_t size = 0;
    for (const auto& piece : outgoing.pieces) size += piece.size();
    const auto found = peers_.find(node);
    const bool right = outgoing.lane == Lane::bulk && size >= options_.size_min && size <= frame_size_max &&
                       outgoing.head.size() <= frame_head_max;
    if (!right || found == peers_.end() || !carries(node, found->second)) return base_->send(node, outgoing);
    offer(node, found->second, outgoing, size);
    return {};
}

bool CarriedTransport::writable(NodeId node) const {
    const auto found = peers_.find(node);
    if (found != peers_.end() && found->second.offered_bytes > options_.unfinished_soft_bytes) return false;
    return base_->writable(node);
}

LinkStatus CarriedTransport::status(NodeId node) const {
    LinkStatus status = base_->status(node);
    const auto found = peers_.find(node);
    if (found == peers_.end()) return status;
    status.unacknowledged_frames += found->second.offered.size();
    status.unacknowledged_bytes += found->second.offered_bytes;
    return status;
}

CarriedStatus CarriedTransport::carried(NodeId node) const {
    CarriedStatus status;
    if (const auto found = peers_.find(node); found != peers_.end()) {
        status = found->second.total;
        status.carries = carries(node, found->second);
    }
    for (const auto& [id, transfer] : transfers_)
        if (transfer.peer == node && transfer.given_up && transfer.receives) status.kept_bytes += transfer.size;
    return status;
}

void CarriedTransport::allow(NodeId node, bool allowed) {
    if (allowed) {
        forbidden_.erase(node.value);
        return;
    }
    forbidden_.insert(node.value);
    if (const auto found = peers_.find(node); found != peers_.end()) withdraw_all(node, found->second);
}

std::vector<NodeId> CarriedTransport::peers() const { return base_->peers(); }

void CarriedTransport::resume(NodeId peer) {
    resumed_ = true;
    base_->resume(peer);
}

void CarriedTransport::flush() { base_->flush(); }
int CarriedTransport::descriptor() const noexcept { return watched_ >= 0 ? watched_ : base_->descriptor(); }
std::string CarriedTransport::address() const { return base_->address(); }
SessionId CarriedTransport::session() const noexcept { return base_->session(); }
std::size_t CarriedTransport::prompt_size_max() const noexcept { return base_->prompt_size_max(); }

std::size_t CarriedTransport::poll(int timeout_ms) {
    base_->flush();
    if (timeout_ms != 0 && watched_ >= 0) {
        epoll_event event{};
        epoll_wait(watched_, &event, 1, timeout_ms);
        timeout_ms = 0;
    }
    std::size_t handled = base_->poll(timeout_ms);
    while (const auto transfer = carrier_->next_ended()) {
        ended(*transfer);
        ++handled;
    }
    if (handled > 0 || std::exchange(resumed_, false)) ask_again();
    for (auto& [node, peer] : peers_)
        if (!peer.told) say_here(node, peer);
    look_at_deadlines();
    base_->flush();
    return handled;
}

// Whoever had no room may have waited for something that has come by the base meanwhile, and not for resume().
void CarriedTransport::ask_again() {
    std::vector<std::pair<NodeId, std::uint64_t>> waiting;
    for (const auto& [node, peer] : peers_)
        for (const auto& [number, frame] : peer.awaited)
            if (frame.transfer == 0 && !frame.arrived) waiting.emplace_back(node, number);
    for (const auto& [node, number] : waiting) {
        const auto peer = peers_.find(node);
        if (peer != peers_.end() && peer->second.awaited.count(number) != 0) make_room(node, number);
    }
}

// ---- what we say to each other -----------------------------------------------------------------------------------

void CarriedTransport::say(NodeId peer, const WordHead& head, std::span<const std::byte> payload) {
    Outgoing outgoing;
    outgoing.type = own_type;
    outgoing.head = std::as_bytes(std::span{&head, 1});
    const std::array pieces{payload};
    outgoing.pieces = pieces;
    outgoing.copy = true;
    (void)base_->send(peer, outgoing);  // without a link nothing needs to be said
}

void CarriedTransport::say_here(NodeId node, Peer& peer) {
    const auto here = carrier_->place();
    if (!here || broken_) return;
    peer.told = true;
    say(node, {Word::here, 0, 0, here->rank, here->world, 0});
}

void CarriedTransport::offer(NodeId node, Peer& peer, const Outgoing& outgoing, std::uint64_t size) {
    const std::uint64_t number = ++peer.last_number;
    Offered& frame = peer.offered[number];
    frame.type = outgoing.type;
    frame.head_size = static_cast<std::uint8_t>(outgoing.head.size());
    std::copy(outgoing.head.begin(), outgoing.head.end(), frame.head.begin());
    frame.size = size;
    frame.cookie = outgoing.cookie;
    frame.checked = outgoing.checked;
    if (outgoing.copy) {
        auto copy = std::make_shared<std::vector<std::byte>>();
        copy->reserve(size);
        for (const auto& piece : outgoing.pieces) copy->insert(copy->end(), piece.begin(), piece.end());
        frame.pieces.emplace_back(*copy);
        frame.copy = std::move(copy);
    } else {
        for (const auto& piece : outgoing.pieces)
            if (!piece.empty()) frame.pieces.push_back(piece);
    }
    peer.offered_bytes += size;
    say(node, {Word::offer, frame.head_size, frame.type, frame.checked ? 1U : 0U, number, size},
        std::span{frame.head.data(), frame.head_size});
}

void CarriedTransport::send_by_base(NodeId node, const Offered& frame) {
    Outgoing outgoing;
    outgoing.type = frame.type;
    outgoing.lane = Lane::bulk;
    outgoing.head = std::span{frame.head.data(), frame.head_size};
    outgoing.pieces = frame.pieces;
    outgoing.copy = frame.copy != nullptr;
    outgoing.checked = frame.checked;
    outgoing.cookie = frame.cookie;
    (void)base_->send(node, outgoing);  // without a link it ends with the link, as all that is not accepted
}

void CarriedTransport::take_clear(NodeId from, std::uint64_t number, std::uint32_t tag) {
    Peer& peer = peers_[from];
    const auto found = peer.offered.find(number);
    if (found == peer.offered.end() || found->second.withdrawing || found->second.transfer != 0 || !peer.place) return;
    Offered& frame = found->second;
    frame.transfer = ++last_transfer_;
    frame.due_ns = now() + options_.patience_ns +
                   frame.size * 1'000 / std::max<std::uint64_t>(options_.slowest_bytes_per_s / 1'000'000, 1);
    transfers_[frame.transfer] = {from, number, false, false, frame.size, nullptr, frame.copy};
    carrier_->send(frame.transfer, peer.place->rank, tag, frame.pieces);
    if (frame.checked) say(from, {Word::digest, 0, 0, 0, number, payload_digest(frame.pieces)});
}

void CarriedTransport::take_withdrawn(NodeId from, std::uint64_t number) {
    Peer& peer = peers_[from];
    const auto found = peer.offered.find(number);
    if (found == peer.offered.end()) return;
    if (!found->second.withdrawing) shun(peer);  // the other side's carrier has failed
    // Should the carrier read it yet it sends to where nobody reads.
    if (found->second.transfer != 0) give_up(found->second.transfer);
    const Offered frame = std::move(found->second);
    peer.offered.erase(found);
    peer.offered_bytes -= frame.size;
    ++peer.total.withdrawn_frames;
    send_by_base(from, frame);
}

void CarriedTransport::take_accepted(NodeId from, std::uint64_t number) {
    Peer& peer = peers_[from];
    const auto found = peer.offered.find(number);
    if (found == peer.offered.end()) return;
    if (found->second.transfer != 0) give_up(found->second.transfer);  // it has all been read, whatever it says
    const std::uint64_t cookie = found->second.cookie;
    peer.offered_bytes -= found->second.size;
    peer.total.sent_bytes += found->second.size;
    ++peer.total.sent_frames;
    peer.failures = 0;
    peer.offered.erase(found);
    if (cookie != 0) owner_.acknowledged(from, cookie);
}

void CarriedTransport::take_offer(NodeId from, const WordHead& head, std::span<const std::byte> payload) {
    if (broken_ || last_tag_ >= carrier_tag_max || !carrier_->place()) {
        say(from, {Word::withdrawn, 0, 0, 0, head.number, 0});
        return;
    }
    Awaited frame;
    frame.type = head.type;
    frame.head_size = head.head_size;
    std::copy(payload.begin(), payload.end(), frame.head.begin());
    frame.size = head.size;
    frame.checked = head.tag != 0;
    peers_[from].awaited.emplace(head.number, std::move(frame));
    make_room(from, head.number);
}

void CarriedTransport::make_room(NodeId from, std::uint64_t number) {
    // A copy: the owner may end the link, and with it what we know of the frame.
    const Awaited asked = peers_[from].awaited[number];
    const Landing landing = owner_.place(from, asked.incoming());
    const auto peer = peers_.find(from);
    const auto found =
        peer == peers_.end() ? std::map<std::uint64_t, Awaited>::iterator{} : peer->second.awaited.find(number);
    if (peer == peers_.end() || found == peer->second.awaited.end()) {
        if (landing.address() != nullptr) owner_.withdrawn(from, landing.address());
        return;
    }
    if (landing.kind() == Landing::Kind::later) return;
    Awaited& frame = found->second;
    frame.place = landing.address();
    if (landing.kind() == Landing::Kind::scattered) frame.places = landing.places(frame.size);
    const bool direct = landing.kind() == Landing::Kind::here;
    if (!direct) frame.own.reset(new (std::nothrow) std::byte[frame.size]);
    if (!direct && frame.own == nullptr) {
        // By the base it needs less at a time.
        receive_failed(from, number);
        return;
    }
    std::byte* const at = direct ? frame.place : frame.own.get();
    frame.transfer = ++last_transfer_;
    transfers_[frame.transfer] = {from, number, true, false, frame.size, direct ? at : nullptr, frame.own};
    carrier_->receive(frame.transfer, peer->second.place ? peer->second.place->rank : 0, ++last_tag_,
                      {{at, frame.size}});
    say(from, {Word::clear, 0, 0, last_tag_, number, 0});
}

void CarriedTransport::take_withdraw(NodeId from, std::uint64_t number) {
    Peer& peer = peers_[from];
    const auto found = peer.awaited.find(number);
    if (found == peer.awaited.end()) return;  // it was delivered, and what says so is under way
    const Awaited frame = std::move(found->second);
    peer.awaited.erase(found);
    drop(from, frame);
    say(from, {Word::withdrawn, 0, 0, 0, number, 0});
}

void CarriedTransport::drop(NodeId from, const Awaited& frame) {
    if (frame.transfer != 0) give_up(frame.transfer);
    // What the carrier may still write to is given back by let_go(). This it never knew, or is through with.
    const bool ours = !frame.places.empty() || frame.arrived;
    if (ours && frame.place != nullptr) owner_.withdrawn(from, frame.place);
}

// ---- what the carrier does ---------------------------------------------------------------------------------------

void CarriedTransport::ended(const EndedTransfer& ended) {
    const auto found = transfers_.find(ended.id);
    if (found == transfers_.end()) return;
    const Transfer transfer = std::move(found->second);
    transfers_.erase(found);
    if (transfer.given_up) {
        let_go(transfer);
        return;
    }
    if (transfer.receives) {
        if (ended.end != TransferEnd::complete) {
            receive_failed(transfer.peer, transfer.number);
            let_go(transfer);
            return;
        }
        Awaited& frame = peers_[transfer.peer].awaited[transfer.number];
        frame.arrived = true;
        frame.transfer = 0;
        deliver(transfer.peer, transfer.number);
        return;
    }
    Peer& peer = peers_[transfer.peer];
    const auto frame = peer.offered.find(transfer.number);
    if (frame == peer.offered.end()) return;
    frame->second.transfer = 0;
    if (ended.end == TransferEnd::complete) return;  // until it is accepted it is ours
    shun(peer);
    withdraw_all(transfer.peer, peer);
}

void CarriedTransport::take_digest(NodeId from, std::uint64_t number, std::uint64_t digest) {
    Peer& peer = peers_[from];
    const auto found = peer.awaited.find(number);
    if (found == peer.awaited.end()) return;
    found->second.digest = digest;
    deliver(from, number);
}

void CarriedTransport::deliver(NodeId from, std::uint64_t number) {
    Peer& peer = peers_[from];
    const auto found = peer.awaited.find(number);
    if (!found->second.arrived || (found->second.checked && !found->second.digest)) return;
    std::span<const std::byte> payload{found->second.own ? found->second.own.get() : found->second.place,
                                       found->second.size};
    if (found->second.checked && payload_digest(std::span{&payload, 1}) != *found->second.digest)
        return end_link(from, LinkEnd::damaged, fmt::format("What node {} sent by MPI arrived damaged.", from.value));
    // Out of the table first: the owner may end the link.
    const Awaited frame = std::move(found->second);
    peer.awaited.erase(found);
    for (std::size_t at = 0; const auto& place : frame.places) {
        std::copy_n(payload.data() + at, place.size(), place.data());
        at += place.size();
    }
    if (!frame.places.empty()) payload = frame.places.front();
    owner_.frame(from, frame.incoming(), payload);
    if (peers_.count(from) != 0) say(from, {Word::accepted, 0, 0, 0, number, 0});
}

void CarriedTransport::receive_failed(NodeId from, std::uint64_t number) {
    Peer& peer = peers_[from];
    const auto found = peer.awaited.find(number);
    Awaited frame = std::move(found->second);
    peer.awaited.erase(found);
    frame.transfer = 0;  // it has ended
    drop(from, frame);
    say(from, {Word::withdrawn, 0, 0, 0, number, 0});
    shun(peer);
}

void CarriedTransport::end_link(NodeId peer, LinkEnd reason, std::string_view sentence) {
    base_->disconnect(peer);
    forget(peer);
    owner_.link_lost(peer, reason, sentence);
}

void CarriedTransport::give_up(std::uint64_t id) {
    const auto found = transfers_.find(id);
    if (found == transfers_.end()) return;
    found->second.given_up = true;
    carrier_->cancel(id);
}

void CarriedTransport::let_go(const Transfer& transfer) {
    if (transfer.receives && transfer.place != nullptr) owner_.withdrawn(transfer.peer, transfer.place);
}

void CarriedTransport::shun(Peer& peer) {
    const std::uint32_t doublings = std::min(peer.failures++, 10U);
    peer.shunned_until_ns = now() + (options_.pause_ns << doublings);
}

void CarriedTransport::withdraw_all(NodeId node, Peer& peer) {
    for (auto& [number, frame] : peer.offered) {
        if (std::exchange(frame.withdrawing, true)) continue;
        say(node, {Word::withdraw, 0, 0, 0, number, 0});
    }
}

void CarriedTransport::look_at_deadlines() {
    const std::uint64_t time = now();
    const bool stuck = !broken_ && carrier_->stuck_ns() > options_.stuck_ns;
    if (stuck) broken_ = true;
    for (auto& [node, peer] : peers_) {
        if (stuck) {
            say(node, {Word::here, 0, 0, 0, 0, 0});  // nowhere
            withdraw_all(node, peer);
            for (const auto& [number, frame] : std::exchange(peer.awaited, {})) {
                drop(node, frame);
                say(node, {Word::withdrawn, 0, 0, 0, number, 0});
            }
            continue;
        }
        const bool late = std::any_of(peer.offered.begin(), peer.offered.end(), [time](const auto& entry) {
            return !entry.second.withdrawing && entry.second.due_ns < time;
        });
        if (!late) continue;
        shun(peer);
        withdraw_all(node, peer);
    }
}

void CarriedTransport::forget(NodeId node) {
    const auto found = peers_.find(node);
    if (found == peers_.end()) return;
    const Peer peer = std::move(found->second);
    peers_.erase(found);
    for (const auto& [number, frame] : peer.offered)
        if (frame.transfer != 0) give_up(frame.transfer);
    for (const auto& [number, frame] : peer.awaited) drop(node, frame);
}

// ---- what the base tells -----------------------------------------------------------------------------------------

void CarriedTransport::connected(NodeId peer, SessionId session) {
    forget(peer);
    say_here(peer, peers_[peer]);
    owner_.connected(peer, session);
}

Landing CarriedTransport::place(NodeId from, const Incoming& incoming) {
    return incoming.type == own_type ? Landing::transient() : owner_.place(from, incoming);
}

void CarriedTransport::frame(NodeId from, const Incoming& incoming, std::span<const std::byte> payload) {
    if (incoming.type != own_type) {
        owner_.frame(from, incoming, payload);
        return;
    }
    WordHead head;
    const bool whole = incoming.head.size() == sizeof head && peers_.count(from) != 0;
    if (whole) std::memcpy(&head, incoming.head.data(), sizeof head);
    switch (whole ? head.word : Word{}) {
        case Word::here:
            peers_[from].place = head.number == 0 ? std::nullopt : std::optional{CarrierPlace{head.number, head.tag}};
            if (head.number == 0) withdraw_all(from, peers_[from]);
            return;
        case Word::offer:
            if (head.head_size == payload.size() && payload.size() <= frame_head_max && head.size > 0 &&
                head.size <= frame_size_max && peers_[from].place && peers_[from].awaited.count(head.number) == 0)
                return take_offer(from, head, payload);
            break;
        case Word::clear: return take_clear(from, head.number, head.tag);
        case Word::digest: return take_digest(from, head.number, head.size);
        case Word::withdraw: return take_withdraw(from, head.number);
        case Word::withdrawn: return take_withdrawn(from, head.number);
        case Word::accepted: return take_accepted(from, head.number);
    }
    end_link(from, LinkEnd::violated,
             fmt::format("Node {} broke the protocol: it speaks of carried frames as nobody does.", from.value));
}

void CarriedTransport::withdrawn(NodeId from, std::byte* address) { owner_.withdrawn(from, address); }
void CarriedTransport::acknowledged(NodeId peer, std::uint64_t cookie) { owner_.acknowledged(peer, cookie); }

void CarriedTransport::link_lost(NodeId peer, LinkEnd reason, std::string_view sentence) {
    forget(peer);
    owner_.link_lost(peer, reason, sentence);
}

void CarriedTransport::peer_restarted(NodeId peer) {
    forget(peer);
    owner_.peer_restarted(peer);
}

void CarriedTransport::refused(const Refusal& refusal) { owner_.refused(refusal); }

}  // namespace phoenix
