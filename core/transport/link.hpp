#pragma once
/// One end of the link to one peer: its connections, its lanes, their repair.
///
/// Who began the control connection that counts is the *caller*; it makes the data connections, too. Either side makes
/// a broken control connection anew. A link has a *life*, a number that no other link of this process has; a peer that
/// shows another session or life than before knows nothing of what was sent, so nothing is kept of it here either.

#include "transport/bulk_inbox.hpp"
#include "transport/connection.hpp"
#include "transport/greeting.hpp"
#include "transport/outbox.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace phoenix {

/// What a link needs of the hub it belongs to.
class LinkHost {
  public:
    virtual ~LinkHost() = default;
    [[nodiscard]] virtual EventLoop& loop() noexcept = 0;
    [[nodiscard]] virtual TransportEvents& events() noexcept = 0;
    [[nodiscard]] virtual const HubOptions& options() const noexcept = 0;
    /// Begins a handshake for a connection of the link; nullptr with `error` set if that fails at once.
    [[nodiscard]] virtual Greeting* call(Link& link, std::uint32_t stream, std::uint64_t deadline_ns, int& error) = 0;
    virtual void drop(Greeting& greeting) = 0;
    /// flush() the link at the end of this round.
    virtual void mark(Link& link) = 0;
    /// A piece had a wrong digest.
    virtual void count_damage() noexcept = 0;
    /// The link has ended: no node has it any more. The object stays until the round is over.
    virtual void remove(Link& link) = 0;
};

class Link {
  public:
    Link(LinkHost& host, NodeId peer, std::uint64_t life);
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;
    ~Link() = default;

    void connect_to(const SocketAddress& address);
    void send(const Outgoing& outgoing);
    /// Lanes that stand go on when the host calls go_on().
    void go_on();
    /// Writes what can be written. True if there is more that could be at once.
    [[nodiscard]] bool flush();
    /// Does what its time has come for and tells the loop when it has to be called again.
    void run_timers();
    /// Ends the link. `tell`: the peer, and the owner.
    struct Tell {
        bool peer{true};
        bool owner{true};
    };
    void end(LinkEnd reason, std::string_view sentence, Tell tell);

    /// For the hub's end: says goodbye and tells its owner nothing, not even what it withdraws.
    void close();

    // Of handshakes.
    [[nodiscard]] bool takes_stream(std::uint32_t stream, const Introduction& peer) const noexcept;
    /// True if the peer's control connection has to give way to the one that we are making.
    [[nodiscard]] bool crossed() const noexcept;
    void adopt(const Introduction& peer, std::uint32_t stream, FileDescriptor socket, bool called_by_us,
               const SocketAddress& address);
    void attempt_failed(std::uint32_t stream, const std::optional<Refusal>& refusal, int error);

    // Of connections.
    void on_readable(Connection& connection);
    void on_writable(Connection& connection);
    void on_broken(Connection& connection, int error);

    [[nodiscard]] NodeId peer() const noexcept { return peer_; }
    [[nodiscard]] std::uint64_t life() const noexcept { return life_; }
    [[nodiscard]] bool ended() const noexcept { return ended_; }
    [[nodiscard]] const std::optional<SocketAddress>& address() const noexcept { return address_; }
    [[nodiscard]] LinkStatus status() const noexcept;
    /// What is unacknowledged, and what it costs here to remember it: empty frames count, too.
    [[nodiscard]] std::uint64_t held_bytes() const noexcept;

    bool marked{false};  ///< The host's.

  private:
    /// Who is at the other end.
    struct Mark {
        SessionId session;
        std::uint64_t life;
        friend bool operator==(const Mark&, const Mark&) = default;
    };
    /// A connection that has to be made (again).
    struct Repair {
        Greeting* attempt{nullptr};
        std::uint64_t at_ns{never};
        std::uint32_t attempts{0};  ///< Without progress.
        std::uint64_t progress{0};  ///< Of the stream when the last one broke.
        std::uint64_t made_ns{0};
    };
    struct Stream {
        std::unique_ptr<Connection> connection;
        bool positioned{false};  ///< The peer has said how many segments it has: ours may follow.
        SegmentLog log;
        std::uint64_t received{0};  ///< Segments of the peer.
        Repair repair;
    };

    // link.cpp: states
    void reset();
    void adopt_control(const Introduction& peer, FileDescriptor socket, bool called_by_us);
    void adopt_data(std::uint32_t stream, FileDescriptor socket, bool called_by_us);
    void drop_connection(std::unique_ptr<Connection>& connection);
    void drop_attempt(Repair& repair);
    void violated(std::string_view what);
    void damaged();
    [[nodiscard]] std::uint64_t now() const noexcept { return host_.loop().now(); }

    // link_repair.cpp
    void repair_control(int error);
    void repair_data(std::uint32_t stream);
    void call(std::uint32_t stream, Repair& repair);
    void call_again(std::uint32_t stream, Repair& repair, int error);
    void beat();
    void say_goodbye(LinkEnd reason);

    // link_send.cpp
    [[nodiscard]] bool pump(std::uint32_t stream);
    void push_segment(Connection& connection, const SegmentLog::Numbered& next);
    void push_record(Connection& connection, WireKind kind, std::uint16_t type, std::uint64_t number);
    void push_position(Connection& connection, std::uint64_t received);
    [[nodiscard]] bool write(Connection& connection);
    [[nodiscard]] Accepted stamp() noexcept;
    void acknowledge();

    // link_receive.cpp
    void read_records(Connection& connection);
    void read_pieces(Connection& connection);
    void take_records(Connection& connection);
    void take_record(Connection& connection);
    void take_frame(Connection& connection);
    void take_pieces(Connection& connection);
    [[nodiscard]] bool begin_piece(Connection& connection);
    void take_position(Connection& connection, std::uint64_t received);
    [[nodiscard]] bool take_accepted(const Accepted& accepted);
    void deliver_bulk();
    void note_accepted(Lane lane, std::uint64_t number, std::uint64_t bytes) noexcept;

    LinkHost& host_;
    NodeId peer_;
    std::uint64_t life_;
    bool ended_{false};
    bool caller_{false};
    std::optional<SocketAddress> address_;
    std::optional<Mark> mark_;  ///< Set once connected.
    std::uint64_t last_heard_ns_{0};
    std::uint64_t reconnects_{0};

    std::array<LaneOutbox, lane_count> outbox_;  ///< Before the connections, whose queues point into it.
    BulkInbox inbox_;
    bool prompt_standing_{false};
    Accepted accepted_{};   ///< By our handler.
    Accepted announced_{};  ///< Of these, what the peer was told.
    std::uint64_t unannounced_bytes_{0};
    std::uint64_t acknowledge_at_ns_{never};

    std::unique_ptr<Connection> control_;
    Repair control_repair_;
    std::uint64_t control_due_ns_{never};  ///< Missing for longer: unreachable.
    std::uint64_t heartbeat_at_ns_{never};
    std::uint32_t unanswered_beats_{0};
    std::vector<Stream> streams_;  ///< Prompt, then bulk; empty until connected.
};

}  // namespace phoenix
