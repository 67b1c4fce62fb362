#pragma once
/// What this process may use of the machine. The only folder that includes hwloc.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace phoenix {

struct DiscoverOptions {
    bool devices{false};  ///< Look for GPUs too: reads the PCI tree, which may take tens of milliseconds.
};

/// Capabilities of a member, as it registers them.
struct Capabilities {
    std::uint32_t cores{1};             ///< Cores with at least one hardware thread that this process may run on.
    std::uint32_t hardware_threads{1};  ///< Hardware threads this process may run on (cpuset, affinity).
    std::uint32_t numa_nodes{1};        ///< NUMA nodes near those.
    std::optional<std::uint32_t> numa_node{};  ///< The one near them all, by the system's number; empty: none is.
    std::uint64_t memory_bytes{};              ///< Of those NUMA nodes, at most the limit of the cgroup; 0 if unknown.
    std::uint32_t gpus{};                      ///< Display and 3D controllers, co-processors; 0 unless asked for.

    /// Names for the capability index, e.g. "cores:2", "numa:1", "gpu".
    [[nodiscard]] std::vector<std::string> names() const;
    friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

/// Discovers by hwloc; what hwloc cannot tell keeps a cautious default. Never fails.
/// @threads Any; reads the affinity of the whole process.
/// @cost    A few milliseconds without devices.
[[nodiscard]] Capabilities discover(DiscoverOptions options = {});

}  // namespace phoenix
