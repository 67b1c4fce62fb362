#pragma once
/// The links of a port to the ports of other nodes: who is there, what has been sent and not accepted yet.

#include "runtime/port_frames.hpp"
#include "transport/transport.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

namespace phoenix {

/// Threads: the port's only.
class PortLinks {
  public:
    /// What becomes of a frame: true: the other port has accepted it; false: it has not and will not.
    using Done = std::function<void(bool accepted)>;

    PortLinks(NodeId self, std::uint32_t nodes) noexcept : self_(self), nodes_(nodes) {}

    void use(Transport& transport) noexcept { transport_ = &transport; }
    [[nodiscard]] NodeId self() const noexcept { return self_; }
    [[nodiscard]] std::uint32_t nodes() const noexcept { return nodes_; }
    [[nodiscard]] bool up(NodeId peer) const noexcept { return up_[peer.value]; }
    /// It has said that it has the domain.
    [[nodiscard]] bool ready(NodeId peer, std::uint32_t domain) const noexcept {
        return up(peer) && (ready_[peer.value] >> domain & 1) != 0;
    }
    [[nodiscard]] bool writable(NodeId peer) const { return up(peer) && transport_->writable(peer); }
    /// Nodes but this one whose link stands.
    [[nodiscard]] std::vector<NodeId> peers_up() const;

    /// Queues a frame; the pieces stay where they are until `done` is called. False if there is no link: nothing was
    /// queued, `done` is not called.
    bool post(NodeId peer, FrameType type, Lane lane, std::span<const std::byte> head,
              std::span<const std::span<const std::byte>> pieces, Done done);
    /// Queues a copy.
    bool post_copy(NodeId peer, FrameType type, std::span<const std::byte> head,
                   std::span<const std::byte> payload = {}, Done done = {});
    /// Frames posted to `peer` that are not accepted.
    [[nodiscard]] std::size_t outstanding() const noexcept { return tickets_.size(); }

    // --- what the transport tells
    void connected(NodeId peer) noexcept {
        up_[peer.value] = true;
        ready_[peer.value] = 0;
    }
    void set_ready(NodeId peer, std::uint32_t domain) noexcept { ready_[peer.value] |= std::uint64_t{1} << domain; }
    void acknowledged(std::uint64_t cookie);
    /// The link has ended: calls `done(false)` of all that was not accepted.
    void ended(NodeId peer);

  private:
    struct Ticket {
        NodeId peer;
        Done done;
    };
    [[nodiscard]] std::uint64_t add(NodeId peer, Done done);

    NodeId self_;
    std::uint32_t nodes_;
    Transport* transport_{nullptr};
    std::array<bool, node_count_max> up_{};
    std::array<std::uint64_t, node_count_max> ready_{};  ///< Bit d: domain d.
    std::unordered_map<std::uint64_t, Ticket> tickets_;  ///< By cookie.
    std::uint64_t next_cookie_{0};
};

}  // namespace phoenix
