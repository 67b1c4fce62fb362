#include "transport/record_reader.hpp"

#include "transport/socket.hpp"

#include <cerrno>
#include <cstring>

namespace phoenix {

namespace {
// Beside the largest record: what a burst of small frames may fill in one call.
constexpr std::size_t spare_factor = 2;
}  // namespace

RecordReader::RecordReader(std::size_t payload_max)
    : payload_max_(payload_max),
      capacity_(spare_factor * (sizeof(RecordHeader) + frame_head_max + payload_max)),
      buffer_(new std::byte[capacity_]) {}

ReadOutcome RecordReader::fill(int socket) noexcept {
    if (begin_ == end_) {
        begin_ = end_ = 0;
    } else if (capacity_ - end_ < capacity_ / spare_factor) {
        // What is left is less than one record, and that fits behind it after this.
        std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    iovec part{buffer_.get() + end_, capacity_ - end_};
    const ssize_t received = receive_parts(socket, std::span{&part, 1});
    if (received < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? ReadOutcome::dry : ReadOutcome::broken;
    if (received == 0) return ReadOutcome::closed;
    end_ += static_cast<std::size_t>(received);
    return end_ == capacity_ ? ReadOutcome::filled : ReadOutcome::dry;
}

RecordReader::Step RecordReader::next() noexcept {
    if (end_ - begin_ < sizeof header_) return Step::incomplete;
    std::memcpy(&header_, buffer_.get() + begin_, sizeof header_);
    if (header_.head_size > frame_head_max || header_.payload_size > payload_max_) return Step::impossible;
    return end_ - begin_ < record_size() ? Step::incomplete : Step::complete;
}

void RecordReader::consume() noexcept { begin_ += record_size(); }

std::span<const std::byte> RecordReader::head() const noexcept {
    return {buffer_.get() + begin_ + sizeof header_, header_.head_size};
}

std::span<const std::byte> RecordReader::payload() const noexcept {
    return {buffer_.get() + begin_ + sizeof header_ + header_.head_size, header_.payload_size};
}

std::size_t RecordReader::record_size() const noexcept {
    return sizeof header_ + header_.head_size + header_.payload_size;
}

}  // namespace phoenix
