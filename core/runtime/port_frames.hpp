#pragma once
/// What ports say to each other: types and heads of the frames that a transport carries (transport/transport.hpp). A
/// wire format between processes of one version: the handshake refuses others. Little endian, as all that we run on.

#include "runtime/domain_layout.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>

namespace phoenix {

enum class FrameType : std::uint16_t {
    domain_ready = 1,  ///< DomainReadyHead: the sender can take what concerns this domain.
    record,            ///< RecordFrameHead, payload: a message.
    hint,              ///< LocationFrameHead: the VNode is at `node` since `epoch`.
    state_meta,        ///< StateHead, payload: commit and field states of a VNode; its state follows in this lane.
    state,             ///< StateHead, payload: a VNode (port_state.hpp).
    stored,            ///< LocationFrameHead: the sender has stored the state of `epoch`.
    commits,           ///< CommitsHead, payload: CommitNews[]: how far VNodes of the sender are.
    place,             ///< PlaceHead, payload: value of a place of the collectives' tree, or a result.
    once_ask,          ///< OnceHead, payload: name. To the home node: may we do it?
    once_grant,        ///< OnceHead, payload: name. From the home node: do it.
    once_offer,        ///< OnceHead, payload: name, result. To the home node: record it.
    once_result,       ///< OnceHead, payload: name, result. From the home node: this is the result.
    fetch,             ///< FetchHead: send committed parts of a field.
    part,              ///< PartHead, payload: one of them.
    census,            ///< CensusHead: members and VNodes of the sender's node.
    outcome,           ///< OutcomeHead, payload: sentence. The job has failed.
    over               ///< No head: all members of the sender's node have left in good order.
};

struct DomainReadyHead {
    std::uint32_t domain;
    std::uint32_t reserved;
    std::uint64_t layout_hash;
};
struct RecordFrameHead {
    std::uint64_t epoch;  ///< Of the destination's location, as the sender knows it.
    std::uint32_t source;
    std::uint32_t destination;
    std::uint32_t tag;
    std::uint32_t serial;
    std::uint64_t sequence;
    std::uint32_t domain;
    std::uint32_t generation;
};
struct LocationFrameHead {
    std::uint32_t domain;
    std::uint32_t vnode;
    std::uint64_t epoch;
    std::uint32_t node;
    std::uint32_t reserved;
};
struct StateHead {
    std::uint32_t domain;
    std::uint32_t vnode;
    std::uint64_t epoch;
    std::uint64_t channel_bytes;  ///< How the payload of the state begins.
};
struct CommitsHead {
    std::uint32_t domain;
    std::uint32_t count;
};
struct CommitNews {
    std::uint32_t vnode;
    std::uint32_t reserved;
    CommitSlot commit;
};
struct PlaceHead {
    std::uint32_t domain;
    std::uint32_t level;  ///< result_level, cast_level: a result instead of a place.
    std::uint32_t place;
    std::uint32_t size;
    std::uint64_t word;
};
inline constexpr std::uint32_t cast_level = 0xFFFFFFFFU;
struct OnceHead {
    std::uint32_t name_size;
    std::uint32_t reserved;
};
struct FetchHead {
    std::uint32_t domain;
    std::uint32_t field;
    std::uint32_t number;
    std::uint32_t reserved;
};
struct PartHead {
    std::uint32_t domain;
    std::uint32_t field;
    std::uint32_t number;
    std::uint32_t vnode;
    std::uint64_t count;  ///< Elements of a resizable field.
};
struct CensusHead {
    std::uint32_t domain;
    std::uint32_t keepers;  ///< As in NodeCensus.
    std::uint32_t takers;
    std::uint32_t vnodes;
};
struct OutcomeHead {
    std::uint32_t code;
    std::uint32_t reserved;
};

/// What is executed as it has come: no byte of it may be another than was sent (Outgoing::checked).
[[nodiscard]] constexpr bool is_checked(FrameType type) noexcept {
    return type == FrameType::state_meta || type == FrameType::state;
}

template <typename Head>
[[nodiscard]] std::span<const std::byte> bytes_of(const Head& head) noexcept {
    static_assert(std::is_trivially_copyable_v<Head> && sizeof(Head) <= 64);
    return std::as_bytes(std::span{&head, 1});
}

/// The head of an arriving frame; false if it has another size: then the other side is no port of ours.
template <typename Head>
[[nodiscard]] bool read_head(std::span<const std::byte> bytes, Head& head) noexcept {
    if (bytes.size() != sizeof head) return false;
    std::memcpy(&head, bytes.data(), sizeof head);
    return true;
}

}  // namespace phoenix
