#pragma once
/// What a side of a link has to send: frames, retained until the peer's handler has accepted them, and which parts of
/// them went over which connection. No sockets here.

#include "transport/wire.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <sys/uio.h>
#include <vector>

namespace phoenix {

/// A frame that is not accepted yet.
struct RetainedFrame {
    std::uint64_t number{};  ///< In its lane, from 1.
    std::uint64_t size{};
    std::uint64_t cookie{};
    std::uint32_t written_from{};  ///< Write queues that still read from it.
    std::uint16_t type{};
    std::uint8_t head_size{};
    bool checked{false};
    std::array<std::byte, frame_head_max> head{};
    std::vector<std::span<const std::byte>> pieces;  ///< The caller's memory; empty if `copy` holds the payload.
    std::vector<std::byte> copy;

    /// Sets `parts` to the payload from `offset` on, at most `length` bytes and as many parts as there are; how many.
    std::size_t gather(std::uint64_t offset, std::uint64_t length, std::span<iovec> parts) const noexcept;
};

/// A part of a frame that goes over one connection: all of a prompt frame, a piece of a bulk frame.
struct Segment {
    RetainedFrame* frame{};
    std::uint64_t offset{};
    std::uint32_t length{};
};

/// The frames of one lane.
///
/// Invariant: numbers first()..last() are retained, in order; those before pull()'s place have been handed out.
class LaneOutbox {
  public:
    explicit LaneOutbox(std::uint32_t segment_size) noexcept : segment_size_(segment_size) {}

    void push(const Outgoing& outgoing);
    /// Next segment that was never handed out.
    [[nodiscard]] std::optional<Segment> pull() noexcept;
    [[nodiscard]] bool has_new() const noexcept { return pulled_ < frames_.size(); }

    /// Oldest frame, if it is not later than `accepted`; nullptr if none is.
    [[nodiscard]] RetainedFrame* oldest(std::uint64_t accepted) noexcept;
    void pop_oldest() noexcept;
    /// Whether the peer can have accepted all up to `accepted`: each was handed out to the last byte.
    [[nodiscard]] bool possible(std::uint64_t accepted) const noexcept { return accepted < first_ + pulled_; }

    [[nodiscard]] std::uint64_t retained_frames() const noexcept { return frames_.size(); }
    [[nodiscard]] std::uint64_t retained_bytes() const noexcept { return retained_bytes_; }
    [[nodiscard]] std::uint64_t new_bytes() const noexcept { return new_bytes_; }

  private:
    std::uint32_t segment_size_;
    std::deque<RetainedFrame> frames_;  ///< A deque: segments and write queues point into it.
    std::uint64_t first_{1};            ///< Number of frames_.front().
    std::size_t pulled_{0};             ///< Frames handed out in full.
    std::uint64_t pulled_bytes_{0};     ///< Of frames_[pulled_].
    std::uint64_t retained_bytes_{0};
    std::uint64_t new_bytes_{0};
};

/// Which segments went over one stream and are not known to have arrived. When its connection is made anew the
/// receiver says how many it has, and the rest goes again.
class SegmentLog {
  public:
    struct Numbered {
        Segment segment;
        std::uint64_t number{};  ///< In the stream, from 1.
    };

    /// Next segment to write on the present connection: first those that the one before lost.
    [[nodiscard]] std::optional<Numbered> next(LaneOutbox& outbox);
    [[nodiscard]] bool has_next(const LaneOutbox& outbox) const noexcept {
        return again_ < open_.size() || outbox.has_new();
    }
    /// A new connection, and the receiver has this many segments. False if it cannot have.
    [[nodiscard]] bool resume(std::uint64_t received) noexcept;
    /// The frame was accepted, all its segments have arrived.
    void forget(const RetainedFrame& frame) noexcept;
    /// Segments known to have arrived.
    [[nodiscard]] std::uint64_t arrived() const noexcept { return arrived_; }

  private:
    void drop_oldest() noexcept;

    std::deque<Segment> open_;
    std::uint64_t arrived_{0};  ///< open_.front() has the number after this.
    std::size_t again_{0};      ///< In open_: next to write.
};

}  // namespace phoenix
