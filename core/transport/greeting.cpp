#include "transport/greeting.hpp"

#include <array>
#include <cerrno>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utility>

namespace phoenix {

namespace {

// A refused caller may have sent more than was read. Closing with that unread would make the kernel reset the
// connection and throw away the refusal, so it is read and dropped, this much and so long.
constexpr std::size_t drained_max = 16U << 10;
constexpr std::uint64_t drain_time_ns = 500'000'000;

}  // namespace

Greeting::Greeting(EventLoop& loop, GreetingOwner& owner, FileDescriptor socket, const SocketAddress& from,
                   Handshake handshake, std::uint64_t deadline_ns)
    : loop_(loop),
      owner_(owner),
      socket_(std::move(socket)),
      address_(from),
      handshake_(std::move(handshake)),
      deadline_ns_(deadline_ns),
      outgoing_(false),
      stage_(Stage::talking) {
    loop_.watch(socket_.get(), EPOLLIN, *this);
}

Greeting::Greeting(EventLoop& loop, GreetingOwner& owner, const Call& call, Handshake handshake, int& error)
    : loop_(loop),
      owner_(owner),
      socket_(begin_connect(call.source, call.address, error)),
      address_(call.address),
      handshake_(std::move(handshake)),
      deadline_ns_(call.deadline_ns),
      outgoing_(true),
      stage_(Stage::connecting) {
    if (socket_.valid()) loop_.watch(socket_.get(), EPOLLOUT, *this);
}

void Greeting::on_ready(std::uint32_t) {
    if (!open()) return;
    switch (stage_) {
        case Stage::connecting:
            if (const int error = connect_outcome(socket_.get()); error != 0) {
                owner_.failed(*this, std::nullopt, error);
                return;
            }
            stage_ = Stage::talking;
            loop_.change(socket_.get(), EPOLLIN, *this);
            if (!send_output()) owner_.failed(*this, std::nullopt, ECONNRESET);
            return;
        case Stage::talking: read_message(); return;
        case Stage::draining: read_rest(); return;
    }
}

void Greeting::expire() {
    if (draining())
        owner_.drained(*this);
    else if (outgoing_)
        owner_.failed(*this, std::nullopt, ETIMEDOUT);
    else
        refuse(RefusalReason::late);
}

void Greeting::drop_crowded() {
    static_cast<void>(handshake_.refuse(RefusalReason::crowded));
    static_cast<void>(send_output());
    owner_.failed(*this, refusal_of(RefusalReason::crowded, false), 0);
}

void Greeting::close() noexcept {
    if (!open()) return;
    loop_.forget(socket_.get());
    socket_ = FileDescriptor{};
}

void Greeting::read_message() {
    std::array<std::byte, sizeof(IntroductionMessage)> bytes;
    // Never more than the message has: what follows it belongs to whoever gets the socket.
    while (open() && !draining() && handshake_.wanted() > 0) {
        iovec part{bytes.data(), handshake_.wanted()};
        // Messages come whole or in parts; the handshake is fed with what is there.
        const ssize_t received = receive_parts(socket_.get(), std::span{&part, 1});
        if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (received <= 0) {
            const int error = received == 0 ? ECONNRESET : errno;
            if (outgoing_)
                owner_.failed(*this, std::nullopt, error);
            else
                owner_.failed(*this, refusal_of(RefusalReason::truncated, false), error);
            return;
        }
        act(handshake_.feed(std::span{bytes.data(), static_cast<std::size_t>(received)}));
    }
}

void Greeting::read_rest() {
    std::array<std::byte, 1024> bytes;
    iovec part{bytes.data(), bytes.size()};
    const ssize_t received = receive_parts(socket_.get(), std::span{&part, 1});
    if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (received > 0) drained_ += static_cast<std::size_t>(received);
    if (received <= 0 || drained_ >= drained_max) owner_.drained(*this);
}

void Greeting::act(Handshake::Progress progress) {
    switch (progress) {
        case Handshake::Progress::waiting:
            if (!send_output()) owner_.failed(*this, std::nullopt, ECONNRESET);
            return;
        case Handshake::Progress::hello: {
            const auto own = owner_.introduce(*this);
            if (!own) {
                refuse(own.error());
                return;
            }
            handshake_.challenge(*own);
            if (!send_output()) owner_.failed(*this, refusal_of(RefusalReason::truncated, false), ECONNRESET);
            return;
        }
        case Handshake::Progress::proven:
            if (const auto reason = owner_.admit(*this)) {
                refuse(*reason);
                return;
            }
            handshake_.welcome();
            if (send_output())
                owner_.finished(*this);
            else
                owner_.failed(*this, refusal_of(RefusalReason::truncated, false), ECONNRESET);
            return;
        case Handshake::Progress::done: owner_.finished(*this); return;
        case Handshake::Progress::refused: owner_.failed(*this, refusal_of(handshake_.reason(), true), 0); return;
        case Handshake::Progress::failed: turn_away(); return;
    }
}

void Greeting::refuse(RefusalReason reason) {
    static_cast<void>(handshake_.refuse(reason));
    turn_away();
}

void Greeting::turn_away() {
    static_cast<void>(send_output());
    const Refusal refused = refusal_of(handshake_.reason(), false);
    stage_ = Stage::draining;
    deadline_ns_ = loop_.now() + drain_time_ns;
    loop_.wake_at(deadline_ns_);
    shutdown(socket_.get(), SHUT_WR);
    owner_.failed(*this, refused, 0);
}

bool Greeting::send_output() {
    const std::vector<std::byte> output = handshake_.take_output();
    if (output.empty()) return true;
    iovec part{const_cast<std::byte*>(output.data()), output.size()};
    // Less than a fresh socket takes at once; one that does not is not worth keeping.
    return send_parts(socket_.get(), std::span{&part, 1}) == static_cast<ssize_t>(output.size());
}

Refusal Greeting::refusal_of(RefusalReason reason, bool by_peer) const {
    Refusal result{text_of(address_), std::nullopt, reason, by_peer};
    if (outgoing_)
        result.claimed = handshake_.own().to;
    else if (handshake_.knows_peer())
        result.claimed = handshake_.peer().from;
    return result;
}

}  // namespace phoenix
