#pragma once
/// Collectives between nodes: each node has the whole tree. What is complete of it here, and not part of something
/// larger that is, goes to all other nodes; whoever waits there combines it. Sending twice is harmless.

#include "runtime/collective_memory.hpp"
#include "runtime/port_domain.hpp"

#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

namespace phoenix {

/// Threads: the port's only.
class PortCollectives {
  public:
    PortCollectives(PortNode node, PortDomain& domain);

    /// Sends what others need. Afterwards no VNode may leave while settled() is false: a place that is complete here is
    /// not looked at any more once one of its VNodes is elsewhere.
    void work();
    [[nodiscard]] bool settled() const noexcept { return outstanding_ == 0; }
    /// The peer knows nothing: the next work() tells it everything that is complete.
    void forget(NodeId peer);

    void take_place(const PlaceHead& head, std::span<const std::byte> payload);

  private:
    struct Place {
        std::uint32_t level;
        std::uint32_t place;
    };
    [[nodiscard]] bool find();
    void find_own_places();
    void tell_everything(NodeId peer);
    void tell_everything_below(NodeId peer, const Place& place, std::uint32_t parity, std::uint64_t above);
    void tell_casts(NodeId peer);
    void tell(NodeId peer, const PlaceHead& head, const std::byte* value);
    void tell_place(NodeId peer, const Place& place, std::uint32_t parity);

    PortNode node_;
    PortDomain* domain_;
    DomainHeader* header_;
    CollectiveMemory memory_;
    std::vector<Place> own_;  ///< The largest places all whose VNodes are here.
    std::uint64_t own_as_of_{~std::uint64_t{0}};
    std::array<std::unordered_map<std::uint64_t, std::uint64_t>, node_count_max> told_;  ///< By place and parity: word.
    std::array<bool, node_count_max> told_everything_{};
    std::array<std::uint32_t, node_count_max> next_cast_{};
    std::set<std::uint32_t> casts_from_elsewhere_;
    std::size_t outstanding_{0};
};

}  // namespace phoenix
