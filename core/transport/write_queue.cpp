#include "transport/write_queue.hpp"

#include "base/check.hpp"
#include "transport/socket.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace phoenix {

void WriteQueue::push(std::span<const std::byte> header, const Segment& segment) noexcept {
    PHOENIX_CHECK(has_room() && header.size() <= sizeof(Item::header));
    Item& item = items_[(begin_ + count_) % items_.size()];
    std::memcpy(item.header.data(), header.data(), header.size());
    item.header_size = static_cast<std::uint32_t>(header.size());
    item.segment = segment;
    item.done = 0;
    if (segment.frame != nullptr) ++segment.frame->written_from;
    ++count_;
    bytes_ += item.left();
}

WriteQueue::Outcome WriteQueue::write(int socket) noexcept {
    std::array<iovec, parts_max> parts;
    while (count_ > 0) {
        const std::size_t count = gather(parts);
        std::uint64_t offered = 0;
        for (std::size_t i = 0; i < count; ++i) offered += parts[i].iov_len;
        const ssize_t sent = send_parts(socket, std::span{parts.data(), count});
        if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Outcome::blocked : Outcome::broken;
        advance(static_cast<std::uint64_t>(sent));
        // The kernel's buffer is full; asking again would only say so.
        if (static_cast<std::uint64_t>(sent) < offered) return Outcome::blocked;
    }
    return Outcome::written;
}

std::size_t WriteQueue::gather(std::span<iovec> parts) noexcept {
    std::size_t count = 0;
    for (std::size_t i = 0; i < count_ && count + 2 <= parts.size(); ++i) {
        Item& item = items_[(begin_ + i) % items_.size()];
        std::uint64_t done = item.done;
        if (done < item.header_size) {
            parts[count++] = {item.header.data() + done, item.header_size - done};
            done = item.header_size;
        }
        const std::uint64_t sent = done - item.header_size;
        const std::uint64_t wanted = item.segment.length - sent;
        if (wanted == 0) continue;
        const std::size_t first = count;
        count += item.segment.frame->gather(item.segment.offset + sent, wanted, parts.subspan(count));
        std::uint64_t gathered = 0;
        for (std::size_t part = first; part < count; ++part) gathered += parts[part].iov_len;
        // A payload of many parts takes several calls, and what is behind it waits.
        if (gathered < wanted) break;
    }
    return count;
}

void WriteQueue::advance(std::uint64_t written) noexcept {
    bytes_ -= written;
    while (count_ > 0) {
        Item& item = items_[begin_];
        const std::uint64_t part = std::min(written, item.left());
        item.done += part;
        written -= part;
        if (item.left() > 0) return;
        pop();
    }
}

void WriteQueue::pop() noexcept {
    Item& item = items_[begin_];
    if (item.segment.frame != nullptr) --item.segment.frame->written_from;
    begin_ = (begin_ + 1) % items_.size();
    --count_;
}

void WriteQueue::clear() noexcept {
    while (count_ > 0) pop();
    bytes_ = 0;
}

}  // namespace phoenix
