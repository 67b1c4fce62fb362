#include "transport/hub_state.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <span>
#include <sys/epoll.h>
#include <utility>

namespace phoenix {

namespace {

constexpr int callers_per_round = 64;
constexpr std::uint64_t out_of_descriptors_pause_ns = 100'000'000;

Nonce new_nonce() noexcept {
    Nonce nonce{};
    // A nonce that somebody could know would make recorded handshakes worth something.
    PHOENIX_CHECK_NOTE(draw_random(std::as_writable_bytes(std::span{nonce})), "the kernel gives no random bytes");
    return nonce;
}

}  // namespace

HubState::HubState(const HubOptions& options, TransportEvents& events, EventLoop loop, FileDescriptor listener,
                   SessionId session)
    : options_(options),
      events_(events),
      loop_(std::move(loop)),
      listener_(std::move(listener)),
      own_address_(local_address(listener_.get())),
      session_(session) {
    loop_.watch(listener_.get(), EPOLLIN, *this);
}

HubState::~HubState() {
    // Connections take themselves out of the loop, so they go before it.
    marked_.clear();
    for (auto& [node, link] : links_) link->close();
    greetings_.clear();
    loop_.clear_graveyard();
    links_.clear();
    removed_.clear();
}

tl::expected<void, Failure> HubState::connect(NodeId peer, std::string_view text) {
    const auto address = parse_address(text);
    if (!address) return tl::unexpected(address.error());
    if (peer == options_.node) return refusal(Errc::invalid_argument, "A node needs no link to itself.");
    if (find(peer) != nullptr) return {};
    loop_.read_clock();
    auto link = std::make_unique<Link>(*this, peer, ++lives_);
    link->connect_to(*address);
    links_.emplace(peer, std::move(link));
    loop_.arm();
    return {};
}

void HubState::disconnect(NodeId peer) {
    if (Link* const link = link_to(peer)) link->end(LinkEnd::closed, {}, {.peer = true, .owner = false});
}

tl::expected<void, Failure> HubState::send(NodeId peer, const Outgoing& outgoing) {
    std::uint64_t size = 0;
    for (const auto& piece : outgoing.pieces) size += piece.size();
    if (outgoing.head.size() > frame_head_max)
        return refusal(Errc::invalid_argument, fmt::format("The head of a frame has at most {} bytes, not {}.",
                                                           frame_head_max, outgoing.head.size()));
    const std::uint64_t size_max = outgoing.lane == Lane::prompt ? prompt_payload_max : frame_size_max;
    if (size > size_max)
        return refusal(Errc::invalid_argument,
                       fmt::format("A frame of this lane has at most {} bytes, not {}.", size_max, size));
    Link* const link = link_to(peer);
    if (link == nullptr) return refusal(Errc::member_lost, fmt::format("There is no link to node {}.", peer.value));
    link->send(outgoing);
    return {};
}

const Link* HubState::find(NodeId peer) const noexcept {
    const auto found = links_.find(peer);
    return found == links_.end() ? nullptr : found->second.get();
}

Link* HubState::link_to(NodeId peer) noexcept { return const_cast<Link*>(find(peer)); }

std::vector<NodeId> HubState::peers() const {
    std::vector<NodeId> result;
    for (const auto& [node, link] : links_) result.push_back(node);
    std::sort(result.begin(), result.end());
    return result;
}

void HubState::resume(NodeId peer) {
    resumed_.push_back(peer);
    loop_.wake_at(loop_.now());
    loop_.arm();
}

// ---- the round ---------------------------------------------------------------------------------------------------

std::size_t HubState::poll(int timeout_ms) {
    clear_graveyard();
    loop_.read_clock();
    go_on_resumed();
    flush_marked();
    std::size_t handled = 0;
    if (loop_.due()) {
        run_timers();
        flush_marked();
        ++handled;
    }
    loop_.arm();
    // With writes left over the round goes on at once.
    handled += loop_.wait(handled > 0 || !marked_.empty() ? 0 : timeout_ms);
    if (loop_.due()) {
        run_timers();
        ++handled;
    }
    flush_marked();
    if (!marked_.empty()) loop_.wake_at(loop_.now());
    loop_.arm();
    clear_graveyard();
    return handled;
}

void HubState::flush_marked() {
    const std::vector<Link*> round = std::exchange(marked_, {});
    for (Link* const link : round) link->marked = false;
    for (Link* const link : round)
        if (!link->ended() && link->flush()) mark(*link);
}

void HubState::run_timers() {
    if (loop_.now() >= listen_again_ns_) {
        listen_again_ns_ = never;
        loop_.watch(listener_.get(), EPOLLIN, *this);
    }
    loop_.wake_at(listen_again_ns_);
    std::vector<Greeting*> late;
    for (const auto& greeting : greetings_) {
        if (loop_.now() >= greeting->deadline_ns())
            late.push_back(greeting.get());
        else
            loop_.wake_at(greeting->deadline_ns());
    }
    // One that expires may take others with it: of the same link.
    for (Greeting* const greeting : late)
        if (greeting->open()) greeting->expire();
    std::vector<Link*> all;
    for (const auto& [node, link] : links_) all.push_back(link.get());
    for (Link* const link : all)
        if (!link->ended()) link->run_timers();
}

void HubState::go_on_resumed() {
    for (const NodeId peer : std::exchange(resumed_, {}))
        if (Link* const link = link_to(peer)) link->go_on();
}

void HubState::clear_graveyard() {
    std::erase_if(marked_, [](const Link* link) { return link->ended(); });
    loop_.clear_graveyard();
    removed_.clear();
}

void HubState::mark(Link& link) {
    if (std::exchange(link.marked, true)) return;
    marked_.push_back(&link);
}

void HubState::remove(Link& link) {
    const auto found = links_.find(link.peer());
    if (found == links_.end() || found->second.get() != &link) return;
    removed_.push_back(std::move(found->second));
    links_.erase(found);
}

// ---- callers and calls -------------------------------------------------------------------------------------------

void HubState::on_ready(std::uint32_t) {
    for (int i = 0; i < callers_per_round; ++i) {
        SocketAddress from;
        int error = 0;
        FileDescriptor socket = accept_caller(listener_.get(), from, error);
        if (socket.valid()) {
            take_caller(std::move(socket), from);
            continue;
        }
        if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
            // The caller stays in the queue and would be reported for ever.
            loop_.forget(listener_.get());
            listen_again_ns_ = loop_.now() + out_of_descriptors_pause_ns;
            loop_.wake_at(listen_again_ns_);
            return;
        }
        if (error == EAGAIN || error == EWOULDBLOCK) return;
    }
}

void HubState::take_caller(FileDescriptor socket, const SocketAddress& from) {
    make_room_for_caller();
    const std::uint64_t deadline = loop_.now() + std::uint64_t{options_.handshake_timeout_ms} * 1'000'000;
    loop_.wake_at(deadline);
    greetings_.push_back(std::make_unique<Greeting>(
        loop_, *this, std::move(socket), from,
        Handshake::respond(options_.job_id, options_.secret, options_.node, new_nonce()), deadline));
}

void HubState::make_room_for_caller() {
    const auto is_caller = [](const auto& greeting) { return !greeting->outgoing(); };
    const auto callers = std::count_if(greetings_.begin(), greetings_.end(), is_caller);
    if (callers < static_cast<std::ptrdiff_t>(options_.unauthenticated_max)) return;
    auto victim = std::find_if(greetings_.begin(), greetings_.end(),
                               [&](const auto& greeting) { return is_caller(greeting) && greeting->draining(); });
    if (victim != greetings_.end()) {
        drop(**victim);
        return;
    }
    victim = std::find_if(greetings_.begin(), greetings_.end(), is_caller);
    (*victim)->drop_crowded();
}

Introduction HubState::introduction_to(NodeId peer, std::uint64_t life) const noexcept {
    Introduction own;
    own.from = options_.node;
    own.to = peer;
    own.session = session_;
    own.life = life;
    own.bulk_streams = static_cast<std::uint8_t>(options_.bulk_streams);
    own.port = port_of(own_address_);
    return own;
}

Greeting* HubState::call(Link& link, std::uint32_t stream, std::uint64_t deadline_ns, int& error) {
    Introduction own = introduction_to(link.peer(), link.life());
    if (stream != control_stream) {
        own.connection = ConnectionKind::data;
        own.stream = static_cast<std::uint8_t>(stream);
    }
    auto greeting =
        std::make_unique<Greeting>(loop_, *this, Greeting::Call{own_address_, *link.address(), deadline_ns},
                                   Handshake::initiate(options_.job_id, options_.secret, own, new_nonce()), error);
    if (!greeting->open()) return nullptr;
    loop_.wake_at(deadline_ns);
    greetings_.push_back(std::move(greeting));
    return greetings_.back().get();
}

void HubState::drop(Greeting& greeting) {
    greeting.close();
    const auto found = std::find_if(greetings_.begin(), greetings_.end(),
                                    [&](const auto& candidate) { return candidate.get() == &greeting; });
    if (found == greetings_.end()) return;
    loop_.bury(std::move(*found));
    greetings_.erase(found);
}

tl::expected<Introduction, RefusalReason> HubState::introduce(Greeting& greeting) {
    const Introduction& peer = greeting.peer();
    const Link* const link = find(peer.from);
    if (peer.connection == ConnectionKind::control && link != nullptr && link->crossed())
        return tl::unexpected(RefusalReason::crossed);
    // A link that is made by this connection has this life; if another comes first, admit() will see it.
    Introduction own = introduction_to(peer.from, link != nullptr ? link->life() : ++lives_);
    own.connection = peer.connection;
    own.stream = peer.stream;
    return own;
}

std::optional<RefusalReason> HubState::admit(Greeting& greeting) {
    const Introduction& peer = greeting.peer();
    const Link* const link = find(peer.from);
    if (peer.connection == ConnectionKind::control) {
        if (link == nullptr) return std::nullopt;
        if (link->crossed()) return RefusalReason::crossed;
        return link->life() == greeting.own().life ? std::nullopt : std::optional{RefusalReason::stale};
    }
    const bool right = link != nullptr && link->life() == greeting.own().life && link->takes_stream(peer.stream, peer);
    return right ? std::nullopt : std::optional{RefusalReason::stale};
}

void HubState::finished(Greeting& greeting) {
    const Introduction peer = greeting.peer();
    const bool control = peer.connection == ConnectionKind::control;
    Link* link = link_to(peer.from);
    if (link == nullptr) {
        auto fresh = std::make_unique<Link>(*this, peer.from, greeting.own().life);
        link = links_.emplace(peer.from, std::move(fresh)).first->second.get();
    }
    const bool ours = greeting.outgoing();
    const SocketAddress address = greeting.address();
    FileDescriptor socket = greeting.take_socket();
    drop(greeting);
    // Our own data connection may have been answered by a process that is not the one the link is with.
    if (ours && !control && !link->takes_stream(peer.stream, peer)) {
        loop_.forget(socket.get());
        link->attempt_failed(peer.stream, std::nullopt, ECONNRESET);
        return;
    }
    link->adopt(peer, control ? control_stream : peer.stream, std::move(socket), ours, address);
}

void HubState::failed(Greeting& greeting, std::optional<Refusal> refusal, int error) {
    // Its owner is found by who it was for: links drop their greetings before they end.
    const bool ours = greeting.outgoing();
    const Introduction own = greeting.own();
    if (!greeting.draining()) drop(greeting);
    if (refusal) events_.refused(*refusal);
    if (!ours) return;
    Link* const link = link_to(own.to);
    if (link == nullptr || link->life() != own.life) return;
    link->attempt_failed(own.connection == ConnectionKind::control ? control_stream : own.stream, refusal, error);
}

}  // namespace phoenix
