#pragma once
/// What moves frames between the port processes of nodes: one interface, whatever carries them.
///
/// A *port process* is the one process of a node that speaks with other nodes. Between two of them there is one *link*
/// with two lanes in each direction. A *session* is one life of a port process. Frames of one lane arrive in the order
/// they were sent, each exactly once, as long as both sessions live and the link is not lost; between lanes there is no
/// order. When that ends, everything not acknowledged is dropped and the owner is told: it keeps its records until they
/// are acknowledged, and sends them again.
///
/// The first implementation is transport/hub.hpp (TCP).

#include "base/ids.hpp"
#include "memory/control_segment.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace phoenix {

using SessionId = StrongInteger<struct SessionTag, std::uint64_t>;  ///< One life of a port process; random, never 0.

inline constexpr std::size_t frame_head_max = 64;            ///< Bytes of a frame's head.
inline constexpr std::uint64_t frame_size_max = 1ULL << 40;  ///< Bytes of a frame's payload.

/// Frames of one lane keep their order; large ones do not hold up small ones of the other lane.
enum class Lane : std::uint8_t {
    prompt,  ///< Small frames, lowest latency; payload at most prompt_size_max() bytes.
    bulk     ///< Large payloads, striped over several connections, read straight into place.
};
inline constexpr std::size_t lane_count = 2;

/// A frame to send.
struct Outgoing {
    std::uint16_t type{};               ///< The caller's; any value.
    Lane lane{Lane::prompt};            ///< The caller's choice, because order is kept within a lane only.
    std::span<const std::byte> head{};  ///< At most frame_head_max bytes; copied by send().
    /// Payload in pieces, all sizes allowed. The list is copied; the bytes are not, unless `copy` says so: they stay
    /// valid and unchanged until the frame is acknowledged, or the link has ended (link_lost, peer_restarted,
    /// disconnect(), destruction of the transport).
    std::span<const std::span<const std::byte>> pieces{};
    bool copy{false};  ///< Keep a copy of the payload: for small frames made on the stack.
    /// Bulk lane: a digest of every piece travels with it. If one is wrong on arrival the frame is not delivered, and
    /// the link ends on both sides (LinkEnd::damaged). Cost: a pass over the bytes on each side, while they are in the
    /// cache.
    bool checked{false};
    std::uint64_t cookie{0};  ///< Handed back by acknowledged(); 0: do not report.
};

/// What arrives before the payload. The head is valid during the call only.
struct Incoming {
    std::uint16_t type{};
    Lane lane{Lane::prompt};
    std::uint64_t size{};  ///< Bytes of payload.
    std::span<const std::byte> head;
};

/// Where the payload of an arriving frame goes. Memory of the handler is untouched by others until frame() or
/// withdrawn() is called; either may find any bytes there that are not the payload's.
class Landing {
  public:
    /// Into memory of the handler: Incoming::size bytes.
    [[nodiscard]] static Landing at(std::byte* address) noexcept { return Landing{Kind::here, address, {}}; }
    /// Into several places of the handler's memory, one after the other. The list is copied, the sum of its lengths is
    /// Incoming::size (checked), and its first place is not empty: its address names the frame in withdrawn(), and
    /// frame() sees that place only.
    [[nodiscard]] static Landing scattered(std::span<const std::span<std::byte>> places) {
        return Landing{Kind::scattered, places.front().data(), {places.begin(), places.end()}};
    }
    /// Into memory of the transport, which frame() sees and which is gone when it returns. No alignment is promised.
    [[nodiscard]] static Landing transient() noexcept { return Landing{Kind::transient, nullptr, {}}; }
    /// No room at present. This lane of this peer delivers nothing more until resume(): the peer's frames stay
    /// unacknowledged there, and its writable() becomes false. place() is then called for the same frame again. What
    /// arrives of bulk frames meanwhile lies in memory of the transport: no more than the peer's soft limit, and a
    /// frame.
    [[nodiscard]] static Landing later() noexcept { return Landing{Kind::later, nullptr, {}}; }

    enum class Kind : std::uint8_t { here, scattered, transient, later };
    [[nodiscard]] Kind kind() const noexcept { return kind_; }
    /// Of the first byte; nullptr if the handler gave no memory.
    [[nodiscard]] std::byte* address() const noexcept { return address_; }
    /// The handler's memory for a payload of `size` bytes; none if it gave none.
    [[nodiscard]] std::vector<std::span<std::byte>> places(std::uint64_t size) const;
    /// Copies a payload that has arrived elsewhere to its places. Returns what frame() is to see: the payload where it
    /// is, if the handler gave no memory.
    [[nodiscard]] std::span<const std::byte> fill(std::span<const std::byte> payload) const;

  private:
    Landing(Kind kind, std::byte* address, std::vector<std::span<std::byte>> places) noexcept
        : kind_(kind), address_(address), places_(std::move(places)) {}
    Kind kind_;
    std::byte* address_;
    std::vector<std::span<std::byte>> places_;  ///< Of a scattered one.
};

/// Why a link ended.
enum class LinkEnd : std::uint8_t {
    closed = 1,   ///< The peer closed it in good order.
    died,         ///< Its connections broke and nobody listens at its address any more: the process is gone.
    unreachable,  ///< No answer from its machine, or from it while a connection had to be made.
    refused,      ///< One of the two refused the other; refused() said why.
    unstable,     ///< Data connections broke again and again without progress.
    violated,     ///< The peer sent what the protocol does not allow.
    damaged  ///< A piece of a checked frame arrived with a wrong digest. Counting how often is the owner's business.
};
[[nodiscard]] std::string_view name_of(LinkEnd reason) noexcept;

/// Why a connection was turned away before it was authenticated. The values travel.
enum class RefusalReason : std::uint8_t {
    malformed = 1,  ///< Not our protocol.
    version,        ///< Our protocol, another version.
    job,            ///< Another job.
    node,           ///< Meant for another node, or from this one to itself.
    secret,         ///< The proof is wrong: another secret, or a handshake played back.
    late,           ///< Not authenticated within the deadline.
    truncated,      ///< Closed before it was authenticated.
    crowded,        ///< Too many unauthenticated connections at once; it was the oldest.
    crossed,        ///< Both sides connect at once, and the other one's connection is the one that counts.
    stale           ///< A data connection of a link that is not this one.
};
[[nodiscard]] std::string_view name_of(RefusalReason reason) noexcept;

/// A connection turned away, by us or by the other side.
struct Refusal {
    std::string address;            ///< Of the other side, "127.0.0.1:4711".
    std::optional<NodeId> claimed;  ///< Who it said it was (unproven), or who we took it for.
    RefusalReason reason{};
    bool by_peer{false};  ///< The other side refused us.
};

/// What a transport tells its owner. All calls come from inside poll(), on its thread; they may call the transport,
/// but not poll() and not its destructor. They must not throw.
class TransportEvents {
  public:
    virtual ~TransportEvents() = default;

    /// The link stands. Nothing of an earlier one is known any more.
    virtual void connected(NodeId peer, SessionId session) = 0;

    /// A frame is arriving: says where its payload goes. Called once per frame, also for an empty one (any landing
    /// but later() will do then), again only after later(). In the bulk lane frames may be placed in another order than
    /// they are delivered, and a frame that got later() may be asked for when it is complete: it is then copied.
    [[nodiscard]] virtual Landing place(NodeId from, const Incoming& incoming) = 0;

    /// The frame is complete, and next in its lane. When this returns the sender will learn that it was accepted.
    virtual void frame(NodeId from, const Incoming& incoming, std::span<const std::byte> payload) = 0;

    /// The link ended before frame(): the memory given by place() for it is the handler's again.
    virtual void withdrawn(NodeId from, std::byte* address) = 0;

    /// The peer's handler has accepted the frame sent with this cookie, and all frames before it in its lane.
    virtual void acknowledged(NodeId peer, std::uint64_t cookie) = 0;

    /// The link has ended; what was not acknowledged is dropped, and acknowledged() will not be called for it. Frames
    /// may have arrived all the same. Until connect() is called again, or the peer connects, send() refuses.
    virtual void link_lost(NodeId peer, LinkEnd reason, std::string_view sentence) = 0;

    /// The peer is a new process, or has given this link up for lost: as link_lost, but connected() follows at once.
    virtual void peer_restarted(NodeId peer) = 0;

    /// A connection was turned away. For the log; the job need not care.
    virtual void refused(const Refusal& refusal) = 0;
};

/// State of the link to a node.
enum class LinkState : std::uint8_t {
    absent,      ///< Never connected, lost, or disconnected.
    connecting,  ///< connect() was called; frames are queued.
    up,          ///< Connected; single connections may be in repair.
};

/// What is known of a link. All figures are of this link only, and 0 when it is absent.
struct LinkStatus {
    LinkState state{LinkState::absent};
    SessionId session{};                    ///< The peer's.
    std::uint64_t unacknowledged_frames{};  ///< Sent or queued.
    std::uint64_t unacknowledged_bytes{};   ///< Payload and heads of these.
    std::uint64_t queued_bytes{};           ///< Of these, not yet handed to the network.
    std::uint64_t reconnects{};             ///< Connections that broke and were made again.
    std::uint64_t silent_ns{};              ///< Since anything was heard from the peer; says nothing of its death.
};

/// Moves frames to and from other nodes. Not thread-safe: one thread at a time.
class Transport {
  public:
    Transport() = default;
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;
    virtual ~Transport() = default;

    /// Begins to make the link to `peer`, which listens at `address`; connected() or link_lost() will follow. One of
    /// the two nodes has to be told; by convention the one with the lower id. If both are, one of the two attempts
    /// wins. No effect on a link that is connecting or up.
    /// @error invalid_argument  The address is none, or `peer` is this node.
    [[nodiscard]] virtual tl::expected<void, Failure> connect(NodeId peer, std::string_view address) = 0;

    /// Ends the link at once, in good order where the network takes the word; what is not acknowledged is dropped.
    /// link_lost() is called for the peer only; withdrawn() here, before this returns.
    virtual void disconnect(NodeId peer) = 0;

    /// Queues a frame. Never blocks, has no upper limit: ask writable().
    /// @error invalid_argument  Head or payload are too large for the lane.
    /// @error member_lost       There is no link to this node.
    /// @cost  One allocation; the network is written to in poll() or flush().
    [[nodiscard]] virtual tl::expected<void, Failure> send(NodeId peer, const Outgoing& outgoing) = 0;

    /// False if more than the soft limit is unacknowledged, some bytes for each frame included, or there is no link.
    [[nodiscard]] virtual bool writable(NodeId peer) const = 0;
    [[nodiscard]] virtual LinkStatus status(NodeId peer) const = 0;
    /// Nodes with a link that is connecting or up.
    [[nodiscard]] virtual std::vector<NodeId> peers() const = 0;

    /// Lanes of this peer that stand because of Landing::later() go on, in the next poll().
    virtual void resume(NodeId peer) = 0;

    /// Hands what is queued to the network, as far as it takes it. poll() does the same, before it waits and after it
    /// has called handlers.
    virtual void flush() = 0;

    /// Waits until something happens, at most `timeout_ms` (0: not at all, -1: for ever), and handles it.
    /// Returns how many events of the network and the clock were handled; 0: the time was over, or a signal came.
    virtual std::size_t poll(int timeout_ms) = 0;

    /// For an outer poll(2): readable when poll(0) has something to do, its timers included. After send(), flush()
    /// before waiting there.
    [[nodiscard]] virtual int descriptor() const noexcept = 0;

    /// Where others connect() to, "127.0.0.1:4711".
    [[nodiscard]] virtual std::string address() const = 0;
    [[nodiscard]] virtual SessionId session() const noexcept = 0;
    /// Largest payload of a prompt frame, in bytes.
    [[nodiscard]] virtual std::size_t prompt_size_max() const noexcept = 0;
};

}  // namespace phoenix
