#pragma once
/// How far VNodes are, told between nodes: each node has a commit record for every VNode of a domain; for one that is
/// elsewhere the port writes what it hears into it. So whoever looks at all VNodes (ends of phases, rounds of
/// collectives) looks at this node's memory only. Copies of field parts, for gather, come the same way.

#include "runtime/port_domain.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace phoenix {

/// Threads: the port's only.
class PortProgress {
  public:
    PortProgress(PortNode node, PortDomain& domain);

    /// Tells others what they must know by now: a VNode has done its phase, or has gone some rounds on.
    void work();
    /// The peer knows nothing: the next work() tells it everything.
    void forget(NodeId peer) noexcept { told_all_[peer.value] = false; }

    void take_commits(std::span<const CommitNews> news);
    void take_fetch(NodeId from, const FetchHead& head);
    void take_part(const PartHead& head, std::span<const std::byte> payload);

  private:
    [[nodiscard]] bool worth_telling(const CommitSlot& commit, const CommitSlot& told) const noexcept;
    void tell(NodeId peer, std::span<const CommitNews> news);
    void apply(std::uint32_t vnode, const CommitSlot& commit);
    void ask_for_parts();

    PortNode node_;
    PortDomain* domain_;
    DomainHeader* header_;
    std::vector<std::uint64_t> seen_;  ///< By VNode: commit number looked at last.
    std::vector<CommitSlot> told_;     ///< By VNode.
    std::array<bool, node_count_max> told_all_{};
    std::map<std::uint32_t, CommitSlot> waiting_;  ///< News of VNodes that have not left here altogether.
    std::uint64_t fetch_asked_{0};
    std::uint64_t fetch_asked_ns_{0};
};

}  // namespace phoenix
