#pragma once
/// What travels between hubs, byte by byte. Little-endian; a change of any of it is a new protocol_version.
///
/// A connection begins with the handshake: hello ->, <- challenge, proof ->, <- welcome (or <- refusal at any time).
/// Then each side says on data connections how many segments of the stream it has (position), and records follow. A
/// *stream* is the sequence of segments that goes over the data connection of one number and over all that replace it;
/// segments of stream 0 are whole prompt frames, those of the others pieces of bulk frames.

#include "transport/transport.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace phoenix {

static_assert(std::endian::native == std::endian::little, "structures are sent as they lie in memory");

inline constexpr std::uint64_t wire_magic = 0x0A0D504354584850ULL;  // "PHXTCP\r\n"
inline constexpr std::uint16_t protocol_version = 2;
inline constexpr std::uint32_t bulk_streams_max = 16;
inline constexpr std::size_t prompt_payload_max = 64U << 10;
inline constexpr std::uint32_t piece_payload_max = 16U << 20;

enum class MessageKind : std::uint8_t { hello = 1, challenge, proof, welcome, refusal };
enum class ConnectionKind : std::uint8_t { control = 1, data };

/// How every message of the handshake begins. This much, and refusals, are the same in all versions.
struct MessagePrefix {
    std::uint64_t magic;    //  0
    std::uint16_t version;  //  8
    MessageKind kind;       // 10
    std::uint8_t reason;    // 11  RefusalReason of a refusal
    std::uint32_t length;   // 12  bytes of the message, these 16 included
};
static_assert(sizeof(MessagePrefix) == 16);

/// Hello (of who connects) and challenge (of who was called).
struct IntroductionMessage {
    MessagePrefix prefix;                //   0
    std::uint32_t from;                  //  16
    std::uint32_t to;                    //  20
    std::uint64_t session;               //  24
    std::uint64_t life;                  //  32  number of the sender's end of this link; another one: nothing is known
    ConnectionKind connection;           //  40
    std::uint8_t stream;                 //  41  of a data connection
    std::uint8_t bulk_streams;           //  42
    std::uint8_t unused;                 //  43
    std::uint16_t port;                  //  44  where the sender listens
    std::uint16_t unused2;               //  46
    std::array<char, 48> job;            //  48  zero-filled
    std::array<std::uint8_t, 32> nonce;  //  96
};
static_assert(sizeof(IntroductionMessage) == 128);

/// Proof (of who connects) and welcome (of who was called).
struct ProofMessage {
    MessagePrefix prefix;              //  0
    std::array<std::uint8_t, 32> mac;  // 16
};
static_assert(sizeof(ProofMessage) == 48);

/// Numbers accepted by the sender of a record, by lane: all frames up to and with these.
using Accepted = std::array<std::uint64_t, lane_count>;

enum class WireKind : std::uint8_t { frame = 1, piece, position, heartbeat, acknowledgement, goodbye, checked_piece };

/// Control connections and stream 0. Behind it head and payload of a frame.
struct RecordHeader {
    WireKind kind;               //  0
    std::uint8_t head_size;      //  1
    std::uint16_t type;          //  2  of a frame; LinkEnd of a goodbye
    std::uint32_t payload_size;  //  4
    std::uint64_t number;        //  8  of this frame; position: segments received
    Accepted accepted;           // 16
};
static_assert(sizeof(RecordHeader) == 32);

/// Streams 1 and up. Behind it `length` bytes of payload. Each piece says all of its frame: any may come first.
struct PieceHeader {
    WireKind kind;           //   0  piece, checked_piece or position
    std::uint8_t head_size;  //   1
    std::uint16_t type;      //   2
    std::uint32_t length;    //   4
    std::uint64_t number;    //   8  of this segment in its stream, from 1; position: segments received
    std::uint64_t frame;     //  16  number of the frame in its lane, from 1
    std::uint64_t size;      //  24  of the frame's payload
    std::uint64_t offset;    //  32  of this piece in it
    Accepted accepted;       //  40
    std::uint64_t digest;    //  56  of a checked piece: PieceDigest of this header and the payload
    std::array<std::byte, frame_head_max> head;  //  64
};
static_assert(sizeof(PieceHeader) == 128);

}  // namespace phoenix
