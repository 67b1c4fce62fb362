#pragma once
/// The main loop of a port: links, domains, news of both sides, the end.

#include "runtime/attachment_record.hpp"
#include "runtime/port_balance.hpp"
#include "runtime/port_bell.hpp"
#include "runtime/port_collectives.hpp"
#include "runtime/port_domain.hpp"
#include "runtime/port_once.hpp"
#include "runtime/port_progress.hpp"
#include "runtime/service.hpp"
#include "transport/carried_transport.hpp"
#include "transport/hub.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace phoenix {

class PortProcess final : public TransportEvents {
  public:
    /// @param carrier  None: all goes over TCP.
    PortProcess(MemberContext context, std::unique_ptr<Carrier> carrier);
    /// Until the job is over everywhere; at once if the node has a port that lives.
    /// @error system  No address to listen at.
    [[nodiscard]] tl::expected<void, Failure> run();

    // --- TransportEvents
    void connected(NodeId peer, SessionId session) override;
    [[nodiscard]] Landing place(NodeId from, const Incoming& incoming) override;
    void frame(NodeId from, const Incoming& incoming, std::span<const std::byte> payload) override;
    void withdrawn(NodeId from, std::byte* address) override;
    void acknowledged(NodeId peer, std::uint64_t cookie) override;
    void link_lost(NodeId peer, LinkEnd reason, std::string_view sentence) override;
    void peer_restarted(NodeId peer) override;
    void refused(const Refusal& refusal) override;

  private:
    /// A domain with all that the port does for it.
    struct Served {
        Served(PortNode node, DomainHeader& header)
            : domain(node, header), progress(node, domain), collectives(node, domain), balance(node, domain) {}
        PortDomain domain;
        PortProgress progress;
        PortCollectives collectives;
        PortBalance balance;
    };

    [[nodiscard]] tl::expected<void, Failure> open();
    [[nodiscard]] bool work();
    void look_whether_to_serve();
    void wait();
    void beat() noexcept;
    void connect_to_peers();
    void find_domains();
    void announce(NodeId peer, const Served& served);
    void forget(NodeId peer);
    void look_at_outcome();
    void show_routes() noexcept;
    void look_at_lost_nodes();
    void look_for_missing_domains();
    void look_for_members();
    void share_out();
    [[nodiscard]] bool is_deserted() const;
    [[nodiscard]] bool over();
    void tell_over(NodeId peer);
    void note_over(NodeId peer) noexcept;
    /// Without a link for longer than a port that is started anew would need.
    [[nodiscard]] bool is_lost(std::uint32_t node) const noexcept;
    [[nodiscard]] Served* served(std::uint32_t domain) const noexcept {
        return domain < domain_count_max ? domains_[domain].get() : nullptr;
    }
    void take_domain_frame(NodeId from, FrameType type, std::span<const std::byte> head,
                           std::span<const std::byte> payload, ExtentId extent);
    void take_domain_ready(NodeId from, const DomainReadyHead& head);
    void take_once(NodeId from, FrameType type, const OnceHead& head, std::span<const std::byte> payload);
    void take_outcome(const OutcomeHead& head, std::span<const std::byte> payload);

    MemberContext context_;
    ExtentPool pool_;
    Mailroom mail_;
    PortLinks links_;
    PortOnce once_;
    std::unique_ptr<Carrier> carrier_;  ///< Until open().
    std::unique_ptr<Transport> transport_;
    CarriedTransport* carried_{nullptr};  ///< `transport_`, if there is a carrier.
    PortBell bell_;
    std::array<std::unique_ptr<Served>, domain_count_max> domains_;
    std::unordered_map<const std::byte*, ExtentId> placed_;
    std::array<std::uint64_t, node_count_max> tried_address_{};
    std::array<std::uint64_t, node_count_max> tried_ns_{};
    std::array<std::uint64_t, node_count_max> without_link_since_ns_{};
    std::array<bool, node_count_max> over_accepted_{};
    static constexpr std::uint32_t damaged_links_max = 8;
    std::array<std::uint32_t, node_count_max> damaged_links_{};  ///< Links that ended so, as long as this port lives.
    std::unique_ptr<Service> service_;
    bool heard_from_all_{false};
    std::uint64_t hopeless_since_ns_{0};
    bool over_here_{false};
    bool outcome_told_{false};
    std::uint64_t outcome_since_ns_{0};
    bool serves_{false};  ///< Others of this node know us, or nobody is left who could.
    std::uint32_t attention_seen_{0};
    std::uint64_t last_beat_ns_{0};
    std::uint64_t last_look_ns_{0};
    std::uint64_t last_sweep_ns_{0};
};

}  // namespace phoenix
