#pragma once
/// The TCP transport: authenticated links between the port processes of nodes.
///
/// A link is made of a *control* connection, nearly idle, whose death or time-out tells that the peer is gone even
/// while data is in flight; one *prompt* connection; and `bulk_streams` connections among which large payloads are
/// striped. A data connection that breaks is made again and goes on where the receiver stopped; a control connection
/// that breaks is made again at once, and if that fails the link is lost. A peer that is merely stopped (SIGSTOP, a
/// debugger) is never given up: its machine still answers.
///
/// Connections are authenticated when they are made (transport/handshake.hpp), not encrypted, and single bytes are not
/// signed: the network between nodes is trusted not to alter connections that stand. Damage by accident, beyond what
/// TCP finds, is found in checked frames (Outgoing::checked).

#include "transport/transport.hpp"

#include <array>
#include <memory>

namespace phoenix {

/// The credential of the job: whoever has it is one of us.
using JobSecret = std::array<std::uint8_t, 32>;

/// Time for all decisions of a hub. Injected by tests.
class HubClock {
  public:
    virtual ~HubClock() = default;
    /// Nanoseconds; never goes back.
    [[nodiscard]] virtual std::uint64_t now_ns() const noexcept = 0;
};

struct HubOptions {
    NodeId node{};
    std::string job_id;  ///< 1 to 40 characters.
    JobSecret secret{};
    /// IPv4 or IPv6 address of one interface, in numbers: listened on, and called from. All of them only if you say so.
    std::string bind_address = "127.0.0.1";
    std::uint16_t port = 0;  ///< 0: the kernel chooses.

    std::uint32_t bulk_streams = 2;  ///< Connections for bulk frames, 1 to 16; the lower of two hubs' counts.
    std::uint32_t piece_size_bytes = 512U << 10;            ///< Of a bulk payload, sent over one of them in one go.
    std::uint64_t unacknowledged_soft_bytes = 64ULL << 20;  ///< Above it writable() is false.

    std::uint32_t handshake_timeout_ms = 5'000;  ///< From the connection's first packet to the last message.
    std::uint32_t unauthenticated_max = 64;      ///< Connections at once; above it the oldest is dropped.
    std::uint32_t heartbeat_period_ms = 1'000;   ///< On the control connection.
    std::uint32_t peer_timeout_ms = 3'500;       ///< Unanswered by the peer's machine for so long: unreachable.
    std::uint32_t acknowledge_delay_us = 500;    ///< Acknowledgements wait so long for a frame that takes them along.
    std::uint32_t acknowledge_bytes = 1U << 20;  ///< Or until so much has been accepted.
    std::uint32_t retry_first_ms = 10;           ///< Pause before the second attempt to connect; doubles each time.
    std::uint32_t retry_longest_ms = 1'000;
    std::uint32_t retries_max = 12;  ///< Attempts without progress, then the link is lost.

    const HubClock* clock = nullptr;  ///< None: CLOCK_BOOTTIME. Outlives the hub.
};

class HubState;

/// A port process's end of all its links. Move-only.
class Hub final : public Transport {
  public:
    /// Listens. `events` outlives the hub.
    /// @error invalid_argument  An option is out of its bounds.
    /// @error system            The address cannot be listened on, or the process is out of descriptors.
    [[nodiscard]] static tl::expected<std::unique_ptr<Hub>, Failure> create(const HubOptions& options,
                                                                            TransportEvents& events);
    /// Closes all links in good order; waits for nobody, tells its own owner nothing.
    ~Hub() override;

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

    /// Times that poll() came back from waiting, for whatever reason: an idle hub has few of them.
    [[nodiscard]] std::uint64_t wake_ups() const noexcept;
    /// Pieces of checked frames that arrived with a wrong digest, over all links.
    [[nodiscard]] std::uint64_t damaged_pieces() const noexcept;

  private:
    explicit Hub(std::unique_ptr<HubState> state) noexcept;
    std::unique_ptr<HubState> state_;
};

}  // namespace phoenix
