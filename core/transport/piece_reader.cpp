#include "transport/piece_reader.hpp"

#include "transport/piece_digest.hpp"
#include "transport/socket.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace phoenix {

namespace {

constexpr std::size_t parts_max = 64;  // of one system call; a payload in more places takes several

}  // namespace

PieceReader::Step PieceReader::step() const noexcept {
    if (begun_) return left_ == 0 ? Step::complete : Step::incomplete;
    return header_size_ == sizeof header_ ? Step::header : Step::incomplete;
}

ReadOutcome PieceReader::fill(int socket) noexcept {
    std::array<iovec, parts_max> parts;
    std::size_t count = 0;
    std::size_t wanted = 0;
    if (begun_) {
        for (std::size_t place = place_; place < places_.size() && count < parts.size() - 1; ++place) {
            const std::size_t done = place == place_ ? done_ : 0;
            const iovec& whole = places_[place];
            parts[count] = {static_cast<std::byte*>(whole.iov_base) + done, whole.iov_len - done};
            wanted += parts[count++].iov_len;
        }
        if (wanted == left_) {
            parts[count++] = {ahead_.data() + ahead_size_, ahead_.size() - ahead_size_};
            wanted += ahead_.size() - ahead_size_;
        }
    } else {
        parts[count++] = {reinterpret_cast<std::byte*>(&header_) + header_size_, sizeof header_ - header_size_};
        wanted = sizeof header_ - header_size_;
    }
    const ssize_t received = receive_parts(socket, std::span{parts.data(), count});
    if (received < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? ReadOutcome::dry : ReadOutcome::broken;
    if (received == 0) return ReadOutcome::closed;
    const auto size = static_cast<std::size_t>(received);
    if (begun_) {
        const std::size_t payload = std::min(size, left_);
        left_ -= payload;
        ahead_size_ += size - payload;
        for (std::size_t rest = payload; rest > 0;) {
            const std::size_t step = std::min(rest, places_[place_].iov_len - done_);
            rest -= step;
            done_ += step;
            if (done_ < places_[place_].iov_len) break;
            ++place_;
            done_ = 0;
        }
    } else {
        header_size_ += size;
    }
    return size == wanted ? ReadOutcome::filled : ReadOutcome::dry;
}

void PieceReader::begin() noexcept {
    begun_ = true;
    place_ = 0;
    done_ = 0;
    left_ = header_.length;
}

bool PieceReader::sound() const noexcept {
    return header_.kind != WireKind::checked_piece || piece_digest(header_, places_) == header_.digest;
}

void PieceReader::advance() noexcept {
    std::memcpy(&header_, ahead_.data(), ahead_size_);
    header_size_ = std::exchange(ahead_size_, 0);
    begun_ = false;
    places_.clear();
}

}  // namespace phoenix
