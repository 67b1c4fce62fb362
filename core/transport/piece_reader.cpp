#include "transport/piece_reader.hpp"

#include "transport/socket.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace phoenix {

PieceReader::Step PieceReader::step() const noexcept {
    if (begun_) return left_ == 0 ? Step::complete : Step::incomplete;
    return header_size_ == sizeof header_ ? Step::header : Step::incomplete;
}

ReadOutcome PieceReader::fill(int socket) noexcept {
    std::array<iovec, 2> parts;
    if (begun_) {
        parts[0] = {place_, left_};
        parts[1] = {ahead_.data() + ahead_size_, ahead_.size() - ahead_size_};
    } else {
        parts[0] = {reinterpret_cast<std::byte*>(&header_) + header_size_, sizeof header_ - header_size_};
        parts[1] = {};
    }
    const std::size_t wanted = parts[0].iov_len + parts[1].iov_len;
    const ssize_t received = receive_parts(socket, std::span{parts.data(), begun_ ? 2U : 1U});
    if (received < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? ReadOutcome::dry : ReadOutcome::broken;
    if (received == 0) return ReadOutcome::closed;
    const auto size = static_cast<std::size_t>(received);
    if (begun_) {
        const std::size_t payload = std::min(size, left_);
        place_ += payload;
        left_ -= payload;
        ahead_size_ += size - payload;
    } else {
        header_size_ += size;
    }
    return size == wanted ? ReadOutcome::filled : ReadOutcome::dry;
}

void PieceReader::begin(std::byte* place) noexcept {
    begun_ = true;
    place_ = place;
    left_ = header_.length;
}

void PieceReader::advance() noexcept {
    std::memcpy(&header_, ahead_.data(), ahead_size_);
    header_size_ = std::exchange(ahead_size_, 0);
    begun_ = false;
}

}  // namespace phoenix
