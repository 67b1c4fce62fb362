#include "transport/connection.hpp"

#include "transport/link.hpp"
#include "transport/socket.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/epoll.h>
#include <utility>

namespace phoenix {

namespace {

constexpr std::size_t expected_max = 512U << 10;  // a piece, as hubs usually cut them

}  // namespace

Connection::Connection(EventLoop& loop, Link& link, std::uint32_t stream, FileDescriptor socket)
    : loop_(loop), link_(link), stream_(stream), socket_(std::move(socket)) {
    if (stream == control_stream)
        records.emplace(0);
    else if (stream == 0)
        records.emplace(prompt_payload_max);
    else
        pieces.emplace();
    if (pieces) shorten_way_on_one_host(socket_.get());
    loop_.watch(socket_.get(), EPOLLIN, *this);
}

void Connection::on_ready(std::uint32_t events) {
    if (!open()) return;
    if ((events & EPOLLOUT) != 0) {
        wants_write_ = false;
        update();
        link_.on_writable(*this);
        if (!open()) return;
    }
    // An error shows as readable, and reading says which it is. While nothing is read it must not be reported for ever.
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        if (wants_read_)
            link_.on_readable(*this);
        else if ((events & (EPOLLHUP | EPOLLERR)) != 0)
            link_.on_broken(*this, ECONNRESET);
    }
}

WriteQueue::Outcome Connection::write() noexcept {
    const WriteQueue::Outcome outcome = queue.write(socket_.get());
    if (outcome == WriteQueue::Outcome::blocked && !wants_write_) {
        wants_write_ = true;
        update();
    }
    return outcome;
}

void Connection::want_read(bool wanted) noexcept {
    if (wants_read_ == wanted || !open()) return;
    wants_read_ = wanted;
    update();
}

void Connection::expect(std::size_t bytes) noexcept {
    bytes = std::min(bytes, expected_max);
    if (bytes == expected_ || !open()) return;
    expected_ = bytes;
    expect_bytes(socket_.get(), bytes);
}

void Connection::close() noexcept {
    queue.clear();
    if (!open()) return;
    loop_.forget(socket_.get());
    socket_ = FileDescriptor{};
}

void Connection::update() noexcept {
    loop_.change(socket_.get(), (wants_read_ ? EPOLLIN : 0U) | (wants_write_ ? EPOLLOUT : 0U), *this);
}

}  // namespace phoenix
