#include "transport/hub.hpp"

#include "transport/hmac.hpp"
#include "transport/hub_state.hpp"

#include <fmt/format.h>
#include <span>
#include <utility>

namespace phoenix {

namespace {

tl::expected<void, Failure> check_options(const HubOptions& options) {
    const auto wrong = [](std::string_view what, std::uint64_t least, std::uint64_t most, std::uint64_t value) {
        return refusal(Errc::invalid_argument,
                       fmt::format("{} of a hub must lie between {} and {}, not be {}.", what, least, most, value));
    };
    if (options.job_id.empty() || options.job_id.size() > 40)
        return wrong("The length of the job id", 1, 40, options.job_id.size());
    if (options.bulk_streams < 1 || options.bulk_streams > bulk_streams_max)
        return wrong("bulk_streams", 1, bulk_streams_max, options.bulk_streams);
    if (options.piece_size_bytes < 4096 || options.piece_size_bytes > piece_payload_max)
        return wrong("piece_size_bytes", 4096, piece_payload_max, options.piece_size_bytes);
    if (options.unauthenticated_max < 1) return wrong("unauthenticated_max", 1, ~0U, options.unauthenticated_max);
    if (options.peer_timeout_ms < 100) return wrong("peer_timeout_ms", 100, ~0U, options.peer_timeout_ms);
    if (options.heartbeat_period_ms < 1) return wrong("heartbeat_period_ms", 1, ~0U, options.heartbeat_period_ms);
    return {};
}

}  // namespace

tl::expected<std::unique_ptr<Hub>, Failure> Hub::create(const HubOptions& options, TransportEvents& events) {
    if (auto checked = check_options(options); !checked) return tl::unexpected(std::move(checked.error()));
    const auto address = make_address(options.bind_address, options.port);
    if (!address) return tl::unexpected(address.error());
    auto loop = EventLoop::create(options.clock);
    if (!loop) return tl::unexpected(std::move(loop.error()));
    auto listener = listen_at(*address);
    if (!listener) return tl::unexpected(std::move(listener.error()));
    SessionId session;
    while (session.value == 0)
        if (!draw_random(std::as_writable_bytes(std::span{&session.value, 1})))
            return refusal(Errc::system, "The kernel gives no random bytes for a session id.");
    auto state = std::make_unique<HubState>(options, events, std::move(*loop), std::move(*listener), session);
    return std::unique_ptr<Hub>{new Hub{std::move(state)}};
}

Hub::Hub(std::unique_ptr<HubState> state) noexcept : state_(std::move(state)) {}
Hub::~Hub() = default;

tl::expected<void, Failure> Hub::connect(NodeId peer, std::string_view address) {
    return state_->connect(peer, address);
}
void Hub::disconnect(NodeId peer) { state_->disconnect(peer); }
tl::expected<void, Failure> Hub::send(NodeId peer, const Outgoing& outgoing) { return state_->send(peer, outgoing); }

bool Hub::writable(NodeId peer) const {
    const Link* const link = state_->find(peer);
    return link != nullptr && link->held_bytes() < state_->options().unacknowledged_soft_bytes;
}

LinkStatus Hub::status(NodeId peer) const {
    const Link* const link = state_->find(peer);
    return link != nullptr ? link->status() : LinkStatus{};
}

std::vector<NodeId> Hub::peers() const { return state_->peers(); }
void Hub::resume(NodeId peer) { state_->resume(peer); }
void Hub::flush() { state_->flush_marked(); }
std::size_t Hub::poll(int timeout_ms) { return state_->poll(timeout_ms); }
int Hub::descriptor() const noexcept { return state_->loop().descriptor(); }
std::string Hub::address() const { return state_->address(); }
SessionId Hub::session() const noexcept { return state_->session(); }
std::size_t Hub::prompt_size_max() const noexcept { return prompt_payload_max; }
std::uint64_t Hub::wake_ups() const noexcept { return state_->loop().wake_ups(); }
std::uint64_t Hub::damaged_pieces() const noexcept { return state_->damaged_pieces(); }

}  // namespace phoenix
