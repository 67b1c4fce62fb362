#pragma once
/// A transport whose large payloads go by a carrier (MPI) where both sides have one, and by the transport itself where
/// they have not, or where the carrier fails.
///
/// Everything that decides goes over the transport beneath, the *base*, which is authenticated, ordered and tells of
/// deaths: a frame is offered, the receiver makes room and lets the carrier wait for it there, and says that it is
/// clear to send; what has arrived is delivered, and the sender learns that it was accepted. So nothing is sent by the
/// carrier that nobody waits for, and while nothing is under way the carrier sleeps.
///
/// A carrier that stands still, or fails, costs no frame: the sender withdraws what it has offered, the receiver says
/// for each frame that it has not had it and will not take it any more, and the frame goes by the base. Memory that the
/// carrier may still write to is not given back to the owner before the carrier has let go of it, if ever. Scattered
/// landings are where an owner wants a frame and no other place will do, so what is to land there arrives in memory of
/// the transport and is copied: the owner has its places back at once when the frame is withdrawn.
///
/// A checked frame's digest follows it over the base, and one that is damaged ends the link.
///
/// Frames that are carried overtake each other and those of the bulk lane that are not.

#include "transport/carrier.hpp"
#include "transport/transport.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace phoenix {

struct CarrierOptions {
    std::uint64_t size_min = 64ULL << 10;       ///< Payloads of bulk frames from this size on are carried.
    std::uint64_t stuck_ns = 3'000'000'000;     ///< Not looked at for so long: nothing is asked of the carrier again.
    std::uint64_t patience_ns = 5'000'000'000;  ///< For any transfer, and on top of it
    std::uint64_t slowest_bytes_per_s = 20 << 20;  ///< its size at this rate. Then the pair goes on without the carrier
    std::uint64_t pause_ns = 10'000'000'000;       ///< for this long, twice as long each time.
    std::uint64_t unfinished_soft_bytes = 64ULL << 20;  ///< Of carried frames; above it writable() is false.
    std::function<std::uint64_t()> now_ns;              ///< None: CLOCK_BOOTTIME.
};

/// What a carrier has done for a peer, and how it stands with it.
struct CarriedStatus {
    bool carries{false};          ///< Frames that are sent now would go by it.
    std::uint64_t sent_frames{};  ///< Carried and accepted.
    std::uint64_t sent_bytes{};
    std::uint64_t withdrawn_frames{};  ///< Sent by the base after all.
    std::uint64_t kept_bytes{};  ///< Of receives that were given up and never ended: memory that is not used again.
};

/// Threads: one at a time, as any transport. Deadlines are looked at in poll(): call it now and then.
class CarriedTransport final : public Transport, private TransportEvents {
  public:
    /// `owner` outlives this.
    CarriedTransport(std::unique_ptr<Carrier> carrier, TransportEvents& owner, CarrierOptions options = {});
    ~CarriedTransport() override;

    /// What the base tells; hand it to the base's constructor and then the base to use().
    [[nodiscard]] TransportEvents& of_base() noexcept { return *this; }
    void use(std::unique_ptr<Transport> base);

    [[nodiscard]] CarriedStatus carried(NodeId peer) const;
    /// For tests: with `false` nothing is carried to `peer` until it is called with `true`.
    void allow(NodeId peer, bool allowed);

    [[nodiscard]] tl::expected<void, Failure> connect(NodeId peer, std::string_view address) override;
    void disconnect(NodeId peer) override;
    [[nodiscard]] tl::expected<void, Failure> send(NodeId peer, const Outgoing& outgoing) override;
    [[nodiscard]] bool writable(NodeId peer) const override;
    [[nodiscard]] LinkStatus status(NodeId peer) const override;
    [[nodiscard]] std::vector<NodeId> peers() const override;
    void resume(NodeId peer) override;
    void flush() override;
    std::size_t poll(int timeout_ms) override;
    [[nodiscard]] int descriptor() const noexcept override;
    [[nodiscard]] std::string address() const override;
    [[nodiscard]] SessionId session() const noexcept override;
    [[nodiscard]] std::size_t prompt_size_max() const noexcept override;

    /// The type of frames that both sides exchange over the base; the owner uses others.
    static constexpr std::uint16_t own_type = 0xFFFF;

  private:
    enum class Word : std::uint8_t { here = 1, offer, clear, digest, withdraw, withdrawn, accepted };
    /// Head of our frames. Behind an offer's the owner's head, as payload.
    struct WordHead {
        Word word{};
        std::uint8_t head_size{};
        std::uint16_t type{};    ///< The owner's, of an offer.
        std::uint32_t tag{};     ///< Of clear; the rank of here; 1 for an offer of a checked frame.
        std::uint64_t number{};  ///< Of the frame, from 1; the world of here.
        std::uint64_t size{};    ///< Of an offer's payload; the digest.
    };
    static_assert(sizeof(WordHead) <= frame_head_max);

    /// A frame that is offered to a peer.
    struct Offered {
        std::uint16_t type{};
        std::uint8_t head_size{};
        std::array<std::byte, frame_head_max> head{};
        ReadPieces pieces;  ///< The owner's memory, or of `copy`.
        std::shared_ptr<const std::vector<std::byte>> copy;
        std::uint64_t size{};
        std::uint64_t cookie{};
        bool checked{false};
        bool withdrawing{false};
        std::uint64_t transfer{0};                ///< Of the carrier, while it sends.
        std::uint64_t due_ns{~std::uint64_t{0}};  ///< Once it is clear.
    };
    /// A frame that a peer offers.
    struct Awaited {
        std::uint16_t type{};
        std::uint8_t head_size{};
        std::array<std::byte, frame_head_max> head{};
        std::uint64_t size{};
        bool checked{false};
        std::optional<std::uint64_t> digest;  ///< As the sender says.
        bool arrived{false};
        std::byte* place{nullptr};         ///< The owner's memory, or the first part of it.
        WritePieces places;                ///< All parts, if there are several; filled in the end.
        std::shared_ptr<std::byte[]> own;  ///< Ours, when the owner gave none or several.
        std::uint64_t transfer{0};         ///< 0: there is no room yet.

        [[nodiscard]] Incoming incoming() const noexcept {
            return {type, Lane::bulk, size, std::span{head.data(), head_size}};
        }
    };
    struct Peer {
        std::optional<CarrierPlace> place;  ///< Of the other side, as it has said.
        bool told{false};                   ///< It knows ours.
        std::uint64_t last_number{0};
        std::map<std::uint64_t, Offered> offered;  ///< By number; in the order of sending.
        std::map<std::uint64_t, Awaited> awaited;
        std::uint64_t offered_bytes{0};
        std::uint64_t shunned_until_ns{0};
        std::uint32_t failures{0};
        CarriedStatus total;
    };
    /// What the carrier does for us. One that was given up keeps its memory here until the carrier lets go of it.
    struct Transfer {
        NodeId peer;
        std::uint64_t number{};
        bool receives{false};
        bool given_up{false};
        std::uint64_t size{};
        std::byte* place{nullptr};           ///< The owner's, to be given back.
        std::shared_ptr<const void> memory;  ///< Ours.
    };

    // TransportEvents, of the base
    void connected(NodeId peer, SessionId session) override;
    [[nodiscard]] Landing place(NodeId from, const Incoming& incoming) override;
    void frame(NodeId from, const Incoming& incoming, std::span<const std::byte> payload) override;
    void withdrawn(NodeId from, std::byte* address) override;
    void acknowledged(NodeId peer, std::uint64_t cookie) override;
    void link_lost(NodeId peer, LinkEnd reason, std::string_view sentence) override;
    void peer_restarted(NodeId peer) override;
    void refused(const Refusal& refusal) override;

    [[nodiscard]] bool carries(NodeId node, const Peer& peer) const;
    void say(NodeId peer, const WordHead& head, std::span<const std::byte> payload = {});
    void say_here(NodeId node, Peer& peer);
    void offer(NodeId node, Peer& peer, const Outgoing& outgoing, std::uint64_t size);
    void send_by_base(NodeId node, const Offered& frame);
    void take_offer(NodeId from, const WordHead& head, std::span<const std::byte> payload);
    /// Asks the owner for room.
    void make_room(NodeId from, std::uint64_t number);
    void ask_again();
    void take_clear(NodeId from, std::uint64_t number, std::uint32_t tag);
    void take_withdraw(NodeId from, std::uint64_t number);
    void take_withdrawn(NodeId from, std::uint64_t number);
    void take_accepted(NodeId from, std::uint64_t number);
    void ended(const EndedTransfer& ended);
    void give_up(std::uint64_t transfer);
    void let_go(const Transfer& transfer);
    void receive_failed(NodeId from, std::uint64_t number);
    void take_digest(NodeId from, std::uint64_t number, std::uint64_t digest);
    /// Delivers the frame if all of it is there.
    void deliver(NodeId from, std::uint64_t number);
    /// The frame will not come this way.
    void drop(NodeId from, const Awaited& frame);
    void end_link(NodeId peer, LinkEnd reason, std::string_view sentence);
    void shun(Peer& peer);
    void withdraw_all(NodeId node, Peer& peer);
    void look_at_deadlines();
    void forget(NodeId node);
    [[nodiscard]] std::uint64_t now() const { return options_.now_ns(); }

    std::unique_ptr<Carrier> carrier_;
    TransportEvents& owner_;
    CarrierOptions options_;
    std::unique_ptr<Transport> base_;
    int watched_{-1};  ///< epoll of the base and the carrier.
    bool broken_{false};
    std::map<NodeId, Peer> peers_;
    std::unordered_set<std::uint32_t> forbidden_;
    std::unordered_map<std::uint64_t, Transfer> transfers_;
    std::uint64_t last_transfer_{0};
    std::uint32_t last_tag_{0};
    bool resumed_{false};
};

}  // namespace phoenix
