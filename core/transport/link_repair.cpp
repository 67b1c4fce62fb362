// Connections that are missing, and the sentinel that tells when that means the peer.

#include "transport/link.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>

namespace phoenix {

namespace {

constexpr std::uint64_t ns_per_ms = 1'000'000;
// A connection that stood so long was no failed attempt, even if nothing went over it.
constexpr std::uint64_t lasting_ns = 10'000 * ns_per_ms;
// A stopped process answers no heartbeats, its machine takes a few all the same. More would fill its socket in the
// end, and a full one looks to TCP_USER_TIMEOUT like a dead machine.
constexpr std::uint32_t unanswered_beats_max = 8;

bool is_silence(int error) noexcept {
    return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH || error == EHOSTDOWN;
}

}  // namespace

void Link::on_broken(Connection& connection, int error) {
    if (ended_) return;
    if (connection.stream() == control_stream) {
        if (&connection == control_.get()) repair_control(error);
        return;
    }
    Stream& stream = streams_[connection.stream()];
    if (&connection == stream.connection.get()) repair_data(connection.stream());
}

void Link::repair_control(int error) {
    drop_connection(control_);
    // The kernel has waited for the peer's machine long enough; there is no use in calling it.
    if (is_silence(error)) {
        end(LinkEnd::unreachable, fmt::format("Node {} does not answer: {}.", peer_.value, std::strerror(error)),
            {.peer = false});
        return;
    }
    control_due_ns_ = now() + host_.options().peer_timeout_ms * ns_per_ms;
    host_.loop().wake_at(control_due_ns_);
    call_again(control_stream, control_repair_, error);
}

void Link::repair_data(std::uint32_t number) {
    Stream& stream = streams_[number];
    drop_connection(stream.connection);
    stream.positioned = false;
    // What was told over it may not have arrived. The next one tells it again, or the next acknowledgement does.
    announced_.fill(never);
    host_.mark(*this);
    ++reconnects_;
    if (!caller_) return;
    const std::uint64_t progress = stream.received + stream.log.arrived();
    const bool lasted = now() - stream.repair.made_ns > lasting_ns;
    if (lasted || progress != stream.repair.progress) stream.repair.attempts = 0;
    stream.repair.progress = progress;
    call_again(number, stream.repair, ECONNRESET);
}

void Link::call_again(std::uint32_t stream, Repair& repair, int error) {
    const HubOptions& options = host_.options();
    if (++repair.attempts > options.retries_max) {
        if (stream == control_stream)
            end(LinkEnd::unreachable,
                fmt::format("Node {} cannot be connected to: {}.", peer_.value, std::strerror(error)), {});
        else
            end(LinkEnd::unstable,
                fmt::format("Connections to node {} break again and again: {}.", peer_.value, std::strerror(error)),
                {});
        return;
    }
    // The first one at once: most often a connection is lost, and not the peer.
    std::uint64_t pause_ms = 0;
    if (repair.attempts > 1)
        pause_ms = std::min<std::uint64_t>(options.retry_longest_ms,
                                           std::uint64_t{options.retry_first_ms} << std::min(repair.attempts - 2, 20U));
    repair.at_ns = now() + pause_ms * ns_per_ms;
    host_.loop().wake_at(repair.at_ns);
}

void Link::call(std::uint32_t stream, Repair& repair) {
    repair.at_ns = never;
    if (!address_) return;
    int error = 0;
    const std::uint64_t deadline = now() + host_.options().handshake_timeout_ms * ns_per_ms;
    repair.attempt = host_.call(*this, stream, deadline, error);
    if (repair.attempt == nullptr) attempt_failed(stream, std::nullopt, error);
}

void Link::attempt_failed(std::uint32_t number, const std::optional<Refusal>& refusal, int error) {
    if (ended_ || (number != control_stream && number >= streams_.size())) return;
    Repair& repair = number == control_stream ? control_repair_ : streams_[number].repair;
    repair.attempt = nullptr;
    const bool passing =
        refusal && (refusal->reason == RefusalReason::crossed || refusal->reason == RefusalReason::stale ||
                    refusal->reason == RefusalReason::crowded || refusal->reason == RefusalReason::late);
    if (refusal && !passing) {
        end(LinkEnd::refused,
            fmt::format("The connection to node {} at {} was refused by {}: {}.", peer_.value, refusal->address,
                        refusal->by_peer ? "it" : "us", name_of(refusal->reason)),
            {});
        return;
    }
    // It did listen while the link stood, so its process is gone.
    if (number == control_stream && mark_ && error == ECONNREFUSED) {
        end(LinkEnd::died, fmt::format("The process of node {} has ended.", peer_.value), {.peer = false});
        return;
    }
    call_again(number, repair, refusal ? ECONNREFUSED : error);
}

void Link::run_timers() {
    EventLoop& loop = host_.loop();
    if (now() >= control_due_ns_) {
        end(LinkEnd::unreachable, fmt::format("Node {} does not answer any more.", peer_.value), {.peer = false});
        return;
    }
    if (now() >= control_repair_.at_ns) call(control_stream, control_repair_);
    for (std::uint32_t number = 0; !ended_ && number < streams_.size(); ++number) {
        Repair& repair = streams_[number].repair;
        // Without the control connection it is not known whether there is anybody to call.
        if (now() >= repair.at_ns && control_ != nullptr) call(number, repair);
    }
    if (!ended_ && now() >= heartbeat_at_ns_) beat();
    if (ended_) return;
    if (now() >= acknowledge_at_ns_) host_.mark(*this);
    loop.wake_at(std::min({control_due_ns_, control_repair_.at_ns, heartbeat_at_ns_}));
    if (acknowledge_at_ns_ > now()) loop.wake_at(acknowledge_at_ns_);
    for (const Stream& stream : streams_)
        if (control_ != nullptr) loop.wake_at(stream.repair.at_ns);
}

void Link::beat() {
    heartbeat_at_ns_ = now() + host_.options().heartbeat_period_ms * ns_per_ms;
    if (control_ == nullptr || control_->blocked() || unanswered_beats_ >= unanswered_beats_max) return;
    ++unanswered_beats_;
    push_record(*control_, WireKind::heartbeat, 0, 0);
    static_cast<void>(write(*control_));
}

void Link::say_goodbye(LinkEnd reason) {
    if (control_->blocked()) return;
    push_record(*control_, WireKind::goodbye, static_cast<std::uint16_t>(reason), 0);
    if (control_->write() != WriteQueue::Outcome::written) return;
    // Closing with bytes unread makes the kernel reset the connection and drop the word.
    std::array<std::byte, 1024> unread;
    iovec part{unread.data(), unread.size()};
    while (receive_parts(control_->socket(), std::span{&part, 1}) > 0) {
    }
}

}  // namespace phoenix
