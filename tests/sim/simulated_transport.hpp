#pragma once
/// Nodes and the network between them in one thread: the same interface as a hub's, time that is moved by hand, delays
/// and faults by seed. For tests of what stands upon a transport.

#include "transport/transport.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace phoenix::sim {

class SimulatedTransport;

/// Frames of a lane keep their order and lanes do not wait for each other; a connection that breaks costs time and
/// nothing else; a death lets a part of what was under way arrive, in order, and then shows as link_lost, or as
/// peer_restarted if a new process of the node was there first.
class SimulatedNetwork {
  public:
    struct Options {
        std::uint64_t seed = 1;
        std::uint64_t delay_max_ns = 100'000;
        std::uint64_t detection_max_ns = 5'000'000;  ///< From a death to the notice at its peers.
        std::uint64_t timeout_ns = 3'500'000'000;    ///< From a cut to the notice.
        std::uint32_t break_one_in = 0;              ///< Frames; 0: no connection breaks.
        std::uint64_t repair_max_ns = 20'000'000;
        std::uint64_t unacknowledged_soft_bytes = 1U << 20;
    };
    explicit SimulatedNetwork(const Options& options) : options_(options), random_(options.seed) {}
    SimulatedNetwork(const SimulatedNetwork&) = delete;
    SimulatedNetwork& operator=(const SimulatedNetwork&) = delete;
    ~SimulatedNetwork();

    /// A new process of the node; one before it must have been killed, or its transport destroyed.
    [[nodiscard]] std::unique_ptr<SimulatedTransport> start(NodeId node, TransportEvents& events);
    /// The process is gone, at once and without a word; its transport does nothing any more.
    void kill(SimulatedTransport& process);
    /// Nothing passes between two nodes, either way, until heal(); links between them are lost at both ends.
    void cut(NodeId left, NodeId right);
    void heal(NodeId left, NodeId right);

    /// Moves time to the next event and lets it happen; transports see it in their next poll(). False: there is none.
    bool step();
    [[nodiscard]] std::uint64_t now_ns() const noexcept { return now_ns_; }

  private:
    friend class SimulatedTransport;
    void at(std::uint64_t time_ns, std::function<void()> what) { events_.emplace(time_ns, std::move(what)); }
    [[nodiscard]] std::uint64_t draw(std::uint64_t most) { return random_() % (most + 1); }
    [[nodiscard]] bool is_cut(NodeId left, NodeId right) const;
    [[nodiscard]] SimulatedTransport* process_of(NodeId node) const;
    void detect_death(NodeId node, SessionId session);

    Options options_;
    std::mt19937_64 random_;
    std::uint64_t now_ns_{0};
    std::uint64_t sessions_{0};
    std::multimap<std::uint64_t, std::function<void()>> events_;  ///< Equal times in the order they were planned.
    std::map<NodeId, SimulatedTransport*> processes_;
    std::set<std::pair<NodeId, NodeId>> cuts_;
};

class SimulatedTransport final : public Transport {
  public:
    SimulatedTransport(SimulatedNetwork& network, NodeId node, SessionId session, TransportEvents& events);
    ~SimulatedTransport() override;

    [[nodiscard]] tl::expected<void, Failure> connect(NodeId peer, std::string_view address) override;
    void disconnect(NodeId peer) override;
    [[nodiscard]] tl::expected<void, Failure> send(NodeId peer, const Outgoing& outgoing) override;
    [[nodiscard]] bool writable(NodeId peer) const override;
    [[nodiscard]] LinkStatus status(NodeId peer) const override;
    [[nodiscard]] std::vector<NodeId> peers() const override;
    void resume(NodeId peer) override;
    void flush() override {}
    /// Never waits.
    std::size_t poll(int timeout_ms) override;
    /// There is none: -1.
    [[nodiscard]] int descriptor() const noexcept override { return -1; }
    /// Any text will do for connect().
    [[nodiscard]] std::string address() const override { return "simulated"; }
    [[nodiscard]] SessionId session() const noexcept override { return session_; }
    [[nodiscard]] std::size_t prompt_size_max() const noexcept override { return 64U << 10; }

  private:
    friend class SimulatedNetwork;
    struct Frame {
        std::uint16_t type{};
        Lane lane{};
        std::vector<std::byte> head;
        std::vector<std::span<const std::byte>> pieces;
        std::vector<std::byte> copy;
        std::uint64_t size{};
        std::uint64_t cookie{};
    };
    struct Arriving {
        std::shared_ptr<const Frame> frame;
        bool complete{false};
        bool placed{false};
        Landing landing{Landing::transient()};
    };
    /// One end of a link. The other end, and events under way, hold it weakly.
    struct End {
        NodeId peer{};
        SessionId peer_session{};
        bool up{false};
        bool ended{false};
        bool restarted{false};  ///< To be told before `connected`.
        bool tell_connected{false};
        bool redial{false};  ///< The peer has died, and another process of its node is there.
        std::optional<LinkEnd> tell_lost;
        std::weak_ptr<End> other;
        std::array<std::deque<std::shared_ptr<const Frame>>, lane_count> retained;
        std::array<std::uint64_t, lane_count> sent{};        ///< Of these, handed to the network.
        std::array<std::uint64_t, lane_count> arrival_ns{};  ///< Of the latest: lanes keep their order.
        std::array<std::uint64_t, lane_count> acknowledgement_ns{};
        std::array<std::deque<Arriving>, lane_count> arriving;
        std::array<std::uint64_t, lane_count> acknowledged{};  ///< Arrived and not yet told.
        std::array<bool, lane_count> standing{};
        std::vector<std::function<void(End&)>> held;  ///< What would have arrived at the other end but for a cut.
        std::uint64_t bytes{0};
    };
    using EndPointer = std::shared_ptr<End>;

    [[nodiscard]] EndPointer find(NodeId peer) const;
    void call(const EndPointer& end);
    void join(const EndPointer& mine, SimulatedTransport& other);
    void transmit(const EndPointer& end);
    void lose(const EndPointer& end, LinkEnd reason);
    void drop(const EndPointer& end);
    void replace(const EndPointer& old, const EndPointer& fresh);
    std::size_t handle(const EndPointer& end);
    std::size_t deliver(const EndPointer& end, std::size_t lane);
    [[nodiscard]] bool place(const EndPointer& end, Arriving& arriving);
    void acknowledge(const EndPointer& end, std::size_t lane);
    /// Does something to the other end, unless one of the two has ended by then.
    void carry(const EndPointer& end, std::uint64_t time_ns, std::function<void(End&)> what);
    static std::vector<std::byte> bytes_of(const Frame& frame);

    SimulatedNetwork& network_;
    NodeId node_;
    SessionId session_;
    TransportEvents& events_;
    bool dead_{false};
    std::map<NodeId, EndPointer> ends_;
    std::vector<EndPointer> joins_;  ///< Made by the other side since the last poll().
};

}  // namespace phoenix::sim
