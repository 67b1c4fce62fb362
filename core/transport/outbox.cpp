#include "transport/outbox.hpp"

#include <algorithm>

namespace phoenix {

std::size_t RetainedFrame::gather(std::uint64_t offset, std::uint64_t length, std::span<iovec> parts) const noexcept {
    std::size_t count = 0;
    const auto add = [&](std::span<const std::byte> piece) {
        if (offset >= piece.size()) {
            offset -= piece.size();
            return;
        }
        const std::uint64_t bytes = std::min<std::uint64_t>(piece.size() - offset, length);
        // writev(2) takes no const, and changes nothing.
        parts[count++] = {const_cast<std::byte*>(piece.data() + offset), bytes};
        length -= bytes;
        offset = 0;
    };
    if (!copy.empty()) {
        if (length > 0 && !parts.empty()) add(copy);
        return count;
    }
    for (const auto& piece : pieces) {
        if (length == 0 || count == parts.size()) break;
        add(piece);
    }
    return count;
}

void LaneOutbox::push(const Outgoing& outgoing) {
    RetainedFrame& frame = frames_.emplace_back();
    frame.number = first_ + frames_.size() - 1;
    frame.cookie = outgoing.cookie;
    frame.type = outgoing.type;
    frame.checked = outgoing.checked;
    frame.head_size = static_cast<std::uint8_t>(outgoing.head.size());
    std::copy(outgoing.head.begin(), outgoing.head.end(), frame.head.begin());
    for (const auto& piece : outgoing.pieces) frame.size += piece.size();
    if (outgoing.copy) {
        frame.copy.reserve(frame.size);
        for (const auto& piece : outgoing.pieces) frame.copy.insert(frame.copy.end(), piece.begin(), piece.end());
    } else {
        frame.pieces.assign(outgoing.pieces.begin(), outgoing.pieces.end());
    }
    retained_bytes_ += frame.size + frame.head_size;
    new_bytes_ += frame.size + frame.head_size;
}

std::optional<Segment> LaneOutbox::pull() noexcept {
    if (!has_new()) return std::nullopt;
    RetainedFrame& frame = frames_[pulled_];
    const std::uint64_t left = frame.size - pulled_bytes_;
    Segment segment{&frame, pulled_bytes_, static_cast<std::uint32_t>(std::min<std::uint64_t>(left, segment_size_))};
    if (pulled_bytes_ == 0) new_bytes_ -= frame.head_size;
    new_bytes_ -= segment.length;
    pulled_bytes_ += segment.length;
    if (pulled_bytes_ == frame.size) {
        ++pulled_;
        pulled_bytes_ = 0;
    }
    return segment;
}

RetainedFrame* LaneOutbox::oldest(std::uint64_t accepted) noexcept {
    return frames_.empty() || first_ > accepted ? nullptr : &frames_.front();
}

void LaneOutbox::pop_oldest() noexcept {
    retained_bytes_ -= frames_.front().size + frames_.front().head_size;
    frames_.pop_front();
    ++first_;
    --pulled_;
}

std::optional<SegmentLog::Numbered> SegmentLog::next(LaneOutbox& outbox) {
    if (again_ == open_.size()) {
        const std::optional<Segment> segment = outbox.pull();
        if (!segment) return std::nullopt;
        open_.push_back(*segment);
    }
    const Segment& segment = open_[again_++];
    return Numbered{segment, arrived_ + again_};
}

bool SegmentLog::resume(std::uint64_t received) noexcept {
    if (received < arrived_ || received > arrived_ + open_.size()) return false;
    while (arrived_ < received) drop_oldest();
    again_ = 0;
    return true;
}

void SegmentLog::forget(const RetainedFrame& frame) noexcept {
    while (!open_.empty() && open_.front().frame == &frame) drop_oldest();
}

void SegmentLog::drop_oldest() noexcept {
    open_.pop_front();
    ++arrived_;
    if (again_ > 0) --again_;
}

}  // namespace phoenix
