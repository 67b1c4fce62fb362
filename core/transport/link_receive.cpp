// What comes in. The handler may end the link from within each of its calls: `ended_` is looked at after every one.

#include "transport/link.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <utility>

namespace phoenix {

namespace {

// System calls for one connection before the others get their turn.
constexpr int read_turns_max = 4;

}  // namespace

void Link::on_readable(Connection& connection) {
    if (ended_) return;
    last_heard_ns_ = now();
    for (int turn = 0; turn < read_turns_max; ++turn) {
        const ReadOutcome outcome = connection.records ? connection.records->fill(connection.socket())
                                                       : connection.pieces->fill(connection.socket());
        if (outcome == ReadOutcome::closed || outcome == ReadOutcome::broken) {
            on_broken(connection, outcome == ReadOutcome::closed ? ECONNRESET : errno);
            return;
        }
        if (connection.records)
            take_records(connection);
        else
            take_pieces(connection);
        if (ended_ || !connection.open() || !connection.reading() || outcome == ReadOutcome::dry) return;
    }
}

void Link::go_on() {
    if (ended_ || streams_.empty()) return;
    if (std::exchange(prompt_standing_, false) && streams_[0].connection != nullptr) {
        Connection& connection = *streams_[0].connection;
        connection.want_read(true);
        take_records(connection);
    }
    if (ended_ || !inbox_.standing()) return;
    inbox_.go_on();
    deliver_bulk();
    // Bytes that were read behind the last piece wait in the readers; what is in the sockets is reported anew.
    for (std::size_t number = 1; !ended_ && !inbox_.standing() && number < streams_.size(); ++number) {
        if (streams_[number].connection == nullptr) continue;
        Connection& connection = *streams_[number].connection;
        connection.want_read(true);
        take_pieces(connection);
    }
}

void Link::take_records(Connection& connection) {
    while (!ended_ && connection.open() && connection.reading()) {
        const RecordReader::Step step = connection.records->next();
        if (step == RecordReader::Step::incomplete) return;
        if (step == RecordReader::Step::impossible) {
            violated("a record has impossible sizes");
            return;
        }
        take_record(connection);
    }
}

void Link::take_record(Connection& connection) {
    const RecordHeader header = connection.records->header();
    const bool control = connection.stream() == control_stream;
    if (header.kind == WireKind::frame && !control) {
        take_frame(connection);
        return;
    }
    connection.records->consume();
    switch (header.kind) {
        case WireKind::position:
            if (control) break;
            // Who is behind has not got what it accepted; so first the position.
            take_position(connection, header.number);
            static_cast<void>(!ended_ && take_accepted(header.accepted));
            return;
        case WireKind::heartbeat:
            if (!control) break;
            unanswered_beats_ = 0;
            control_repair_.attempts = 0;
            static_cast<void>(take_accepted(header.accepted));
            return;
        case WireKind::acknowledgement:
            if (control) break;
            static_cast<void>(take_accepted(header.accepted));
            return;
        case WireKind::goodbye: {
            if (!control) break;
            const auto reason = static_cast<LinkEnd>(header.type);
            end(name_of(reason) == "unknown" ? LinkEnd::closed : reason,
                fmt::format("Node {} has ended the link ({}).", peer_.value, name_of(reason)), {.peer = false});
            return;
        }
        case WireKind::frame:
        case WireKind::piece:
        case WireKind::checked_piece: break;
    }
    violated("a record of a kind that has no place there");
}

void Link::take_frame(Connection& connection) {
    Stream& stream = streams_[0];
    const RecordReader& reader = *connection.records;
    const RecordHeader header = reader.header();
    if (header.number != stream.received + 1) {
        violated("a frame is not the next one");
        return;
    }
    if (!take_accepted(header.accepted) || !connection.open()) return;
    const Incoming incoming{header.type, Lane::prompt, header.payload_size, reader.head()};
    const Landing landing = host_.events().place(peer_, incoming);
    if (ended_) {
        if (landing.address() != nullptr) host_.events().withdrawn(peer_, landing.address());
        return;
    }
    if (landing.kind() == Landing::Kind::later) {
        prompt_standing_ = true;
        connection.want_read(false);
        return;
    }
    host_.events().frame(peer_, incoming, landing.fill(reader.payload()));
    if (ended_) return;
    connection.records->consume();
    ++stream.received;
    note_accepted(Lane::prompt, stream.received, header.payload_size);
}

void Link::take_pieces(Connection& connection) {
    while (!ended_ && connection.open() && connection.reading()) {
        PieceReader& reader = *connection.pieces;
        switch (reader.step()) {
            case PieceReader::Step::incomplete: connection.expect(reader.missing()); return;
            case PieceReader::Step::header:
                if (!begin_piece(connection)) return;
                break;
            case PieceReader::Step::complete:
                // Before it counts as received: what is wrong is never part of a frame that is complete.
                if (!reader.sound()) {
                    damaged();
                    return;
                }
                ++streams_[connection.stream()].received;
                inbox_.complete(reader.header());
                reader.advance();
                deliver_bulk();
                break;
        }
    }
}

bool Link::begin_piece(Connection& connection) {
    PieceReader& reader = *connection.pieces;
    const PieceHeader& header = reader.header();
    if (header.kind == WireKind::position) {
        take_position(connection, header.number);
        if (ended_ || !take_accepted(header.accepted)) return false;
        reader.skip();
        return true;
    }
    const bool piece = header.kind == WireKind::piece || header.kind == WireKind::checked_piece;
    if (!piece || header.number != streams_[connection.stream()].received + 1) {
        violated("a piece is not the next one");
        return false;
    }
    if (!take_accepted(header.accepted)) return false;
    const auto place = inbox_.begin(peer_, header, host_.events(), reader.places());
    if (ended_) return false;
    if (!place) {
        violated(place.error());
        return false;
    }
    reader.begin();
    return true;
}

void Link::take_position(Connection& connection, std::uint64_t received) {
    Stream& stream = streams_[connection.stream()];
    if (stream.positioned || !stream.log.resume(received)) {
        violated("a position that cannot be");
        return;
    }
    stream.positioned = true;
    host_.mark(*this);
}

bool Link::take_accepted(const Accepted& accepted) {
    for (std::size_t lane = 0; lane < lane_count; ++lane) {
        LaneOutbox& outbox = outbox_[lane];
        if (!outbox.possible(accepted[lane])) {
            violated("it accepts what was not sent");
            return false;
        }
        const std::size_t first = lane == 0 ? 0 : 1;
        const std::size_t last = lane == 0 ? 1 : streams_.size();
        while (RetainedFrame* const frame = outbox.oldest(accepted[lane])) {
            if (frame->written_from > 0) {
                violated("it accepts what it cannot have");
                return false;
            }
            for (std::size_t number = first; number < last; ++number) streams_[number].log.forget(*frame);
            const std::uint64_t cookie = frame->cookie;
            outbox.pop_oldest();
            if (cookie != 0) host_.events().acknowledged(peer_, cookie);
            if (ended_) return false;
        }
    }
    return true;
}

void Link::deliver_bulk() {
    while (inbox_.deliver_next(peer_, host_.events(), [this] { return !ended_; })) {
        note_accepted(Lane::bulk, inbox_.accepted(), host_.options().piece_size_bytes);
    }
    if (ended_ || !inbox_.standing()) return;
    for (std::size_t number = 1; number < streams_.size(); ++number)
        if (streams_[number].connection != nullptr) streams_[number].connection->want_read(false);
}

}  // namespace phoenix
