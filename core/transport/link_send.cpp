// What goes out: segments, positions, acknowledgements.

#include "transport/link.hpp"
#include "transport/piece_digest.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace phoenix {

namespace {

// Of write queues a stream fills in one go, before the others and those who read get their turn.
constexpr int pump_rounds_max = 16;

constexpr std::size_t lane_index(Lane lane) noexcept { return static_cast<std::size_t>(lane); }

}  // namespace

bool Link::flush() {
    bool more = false;
    for (std::uint32_t number = 0; !ended_ && number < streams_.size(); ++number) more = pump(number) || more;
    if (!ended_) acknowledge();
    return more && !ended_;
}

bool Link::pump(std::uint32_t number) {
    Stream& stream = streams_[number];
    if (stream.connection == nullptr || !stream.positioned || stream.connection->blocked()) return false;
    Connection& connection = *stream.connection;
    LaneOutbox& outbox = outbox_[lane_index(number == 0 ? Lane::prompt : Lane::bulk)];
    for (int round = 0; round < pump_rounds_max; ++round) {
        while (!connection.queue.full()) {
            const auto next = stream.log.next(outbox);
            if (!next) break;
            push_segment(connection, *next);
        }
        if (connection.queue.empty()) return false;
        if (!write(connection) || connection.blocked()) return false;
    }
    return stream.log.has_next(outbox);
}

void Link::push_segment(Connection& connection, const SegmentLog::Numbered& next) {
    const RetainedFrame& frame = *next.segment.frame;
    if (connection.stream() == 0) {
        std::array<std::byte, sizeof(RecordHeader) + frame_head_max> bytes;
        const RecordHeader header{WireKind::frame,     frame.head_size, frame.type,
                                  next.segment.length, frame.number,    stamp()};
        std::memcpy(bytes.data(), &header, sizeof header);
        std::memcpy(bytes.data() + sizeof header, frame.head.data(), frame.head_size);
        connection.queue.push(std::span{bytes.data(), sizeof header + frame.head_size}, next.segment);
        return;
    }
    PieceHeader header{};
    header.kind = WireKind::piece;
    header.head_size = frame.head_size;
    header.type = frame.type;
    header.length = next.segment.length;
    header.number = next.number;
    header.frame = frame.number;
    header.size = frame.size;
    header.offset = next.segment.offset;
    header.accepted = stamp();
    header.head = frame.head;
    if (frame.checked) {
        header.kind = WireKind::checked_piece;
        // Now, so that the kernel finds in the cache what it copies next.
        std::vector<iovec> parts(frame.pieces.size() + 1);
        parts.resize(frame.gather(header.offset, header.length, parts));
        header.digest = piece_digest(header, parts);
    }
    connection.queue.push(std::as_bytes(std::span{&header, 1}), next.segment);
}

void Link::push_record(Connection& connection, WireKind kind, std::uint16_t type, std::uint64_t number) {
    if (!connection.queue.has_room()) return;
    const RecordHeader header{kind, 0, type, 0, number, accepted_};
    connection.queue.push(std::as_bytes(std::span{&header, 1}));
}

void Link::push_position(Connection& connection, std::uint64_t received) {
    if (connection.stream() == 0) {
        const Accepted accepted = stamp();
        const RecordHeader header{WireKind::position, 0, 0, 0, received, accepted};
        connection.queue.push(std::as_bytes(std::span{&header, 1}));
        return;
    }
    PieceHeader header{};
    header.kind = WireKind::position;
    header.number = received;
    header.accepted = accepted_;
    connection.queue.push(std::as_bytes(std::span{&header, 1}));
}

bool Link::write(Connection& connection) {
    if (connection.write() != WriteQueue::Outcome::broken) return true;
    on_broken(connection, errno);
    return false;
}

void Link::on_writable(Connection& connection) {
    if (ended_ || !write(connection) || connection.blocked()) return;
    if (connection.stream() != control_stream) host_.mark(*this);
}

Accepted Link::stamp() noexcept {
    announced_ = accepted_;
    unannounced_bytes_ = 0;
    acknowledge_at_ns_ = never;
    return accepted_;
}

void Link::acknowledge() {
    if (announced_ == accepted_ || streams_.empty()) return;
    Stream& prompt = streams_[0];
    // Whatever is written when the connection is there again carries it.
    if (prompt.connection == nullptr || prompt.connection->blocked()) {
        acknowledge_at_ns_ = never;
        return;
    }
    const bool many = unannounced_bytes_ >= host_.options().acknowledge_bytes;
    if (!many && acknowledge_at_ns_ == never) {
        acknowledge_at_ns_ = now() + std::uint64_t{host_.options().acknowledge_delay_us} * 1000;
        host_.loop().wake_at(acknowledge_at_ns_);
    }
    if (!many && now() < acknowledge_at_ns_) return;
    push_record(*prompt.connection, WireKind::acknowledgement, 0, 0);
    static_cast<void>(stamp());
    static_cast<void>(write(*prompt.connection));
}

void Link::note_accepted(Lane lane, std::uint64_t number, std::uint64_t bytes) noexcept {
    accepted_[lane_index(lane)] = number;
    // A small frame costs the sender more than its bytes.
    unannounced_bytes_ += bytes + 1024;
    host_.mark(*this);
}

}  // namespace phoenix
