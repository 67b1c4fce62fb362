#include "topology/topology.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <hwloc.h>
#include <memory>
#include <unistd.h>

namespace phoenix {

namespace {

struct TopologyDeleter {
    void operator()(hwloc_topology* topology) const noexcept { hwloc_topology_destroy(topology); }
};
using Topology = std::unique_ptr<hwloc_topology, TopologyDeleter>;

struct BitmapDeleter {
    void operator()(hwloc_bitmap_s* bitmap) const noexcept { hwloc_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<hwloc_bitmap_s, BitmapDeleter>;

Topology load(bool devices) {
    hwloc_topology_t raw = nullptr;
    if (hwloc_topology_init(&raw) != 0) {
        return nullptr;
    }
    Topology topology{raw};
    // The x86 component binds this thread to every processor in turn to ask it: slow, and no news on Linux.
    hwloc_topology_set_components(raw, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
    hwloc_topology_set_all_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(raw, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    if (devices) {
        hwloc_topology_set_type_filter(raw, HWLOC_OBJ_PCI_DEVICE, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    }
    return hwloc_topology_load(raw) == 0 ? std::move(topology) : nullptr;
}

/// Hardware threads this process may run on: allowed by the cpuset *and* bound to.
Bitmap usable_by_this_process(hwloc_topology_t topology) {
    Bitmap usable{hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology))};
    const Bitmap bound{hwloc_bitmap_alloc()};
    if (usable && bound && hwloc_get_cpubind(topology, bound.get(), HWLOC_CPUBIND_PROCESS) == 0) {
        hwloc_bitmap_and(usable.get(), usable.get(), bound.get());
    }
    return usable;
}

std::uint32_t count_overlapping(hwloc_topology_t topology, hwloc_obj_type_t type, hwloc_const_bitmap_t cpus) {
    std::uint32_t count = 0;
    for (hwloc_obj_t object = hwloc_get_next_obj_by_type(topology, type, nullptr); object != nullptr;
         object = hwloc_get_next_obj_by_type(topology, type, object)) {
        count += object->cpuset != nullptr && hwloc_bitmap_intersects(object->cpuset, cpus) != 0 ? 1 : 0;
    }
    return count;
}

/// Number of the NUMA node that all of `cpus` are near. Where several are (memory of two kinds) the lowest.
std::optional<std::uint32_t> node_of_all(hwloc_topology_t topology, hwloc_const_bitmap_t cpus) {
    std::optional<std::uint32_t> lowest;
    for (hwloc_obj_t node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, nullptr); node != nullptr;
         node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)) {
        const bool near_all = node->cpuset != nullptr && hwloc_bitmap_isincluded(cpus, node->cpuset) != 0;
        if (near_all && (!lowest || node->os_index < *lowest)) lowest = node->os_index;
    }
    return lowest;
}

std::uint64_t memory_near(hwloc_topology_t topology, hwloc_const_bitmap_t cpus) {
    std::uint64_t bytes = 0;
    for (hwloc_obj_t node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, nullptr); node != nullptr;
         node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)) {
        if (node->cpuset != nullptr && hwloc_bitmap_intersects(node->cpuset, cpus) != 0) {
            bytes += node->attr->numanode.local_memory;
        }
    }
    return bytes;
}

/// Memory limit of the control group at the root of this container (versions 2 and 1); 0 if there is none.
std::uint64_t control_group_limit() {
    for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
        std::ifstream file{path};
        std::uint64_t bytes = 0;
        if (file >> bytes) {  // "max" is no number: no limit
            return bytes;
        }
    }
    return 0;
}

std::uint32_t count_gpus(hwloc_topology_t topology) {
    constexpr unsigned base_class_display = 0x03;
    constexpr unsigned base_class_accelerator = 0x12;
    std::uint32_t count = 0;
    for (hwloc_obj_t device = hwloc_get_next_pcidev(topology, nullptr); device != nullptr;
         device = hwloc_get_next_pcidev(topology, device)) {
        const unsigned base_class = static_cast<unsigned>(device->attr->pcidev.class_id) >> 8U;
        count += base_class == base_class_display || base_class == base_class_accelerator ? 1 : 0;
    }
    return count;
}

}  // namespace

std::vector<std::string> Capabilities::names() const {
    std::vector<std::string> names{fmt::format("cores:{}", cores), fmt::format("numa:{}", numa_nodes)};
    if (gpus > 0) {
        names.emplace_back("gpu");
    }
    return names;
}

Capabilities discover(DiscoverOptions options) {
    Capabilities found;
    const auto online = sysconf(_SC_NPROCESSORS_ONLN);
    found.cores = found.hardware_threads = static_cast<std::uint32_t>(std::max(online, 1L));
    const Topology topology = load(options.devices);
    if (!topology) {
        return found;
    }
    const Bitmap usable = usable_by_this_process(topology.get());
    if (!usable || hwloc_bitmap_iszero(usable.get()) != 0) {
        return found;
    }
    found.hardware_threads = static_cast<std::uint32_t>(std::max(hwloc_bitmap_weight(usable.get()), 1));
    // Machines that hide their cores (some virtual ones) show hardware threads only.
    const std::uint32_t cores = count_overlapping(topology.get(), HWLOC_OBJ_CORE, usable.get());
    found.cores = cores > 0 ? cores : found.hardware_threads;
    found.numa_nodes = std::max(count_overlapping(topology.get(), HWLOC_OBJ_NUMANODE, usable.get()), 1U);
    found.numa_node = node_of_all(topology.get(), usable.get());
    found.memory_bytes = memory_near(topology.get(), usable.get());
    if (const std::uint64_t limit = control_group_limit(); limit > 0 && limit < found.memory_bytes) {
        found.memory_bytes = limit;
    }
    found.gpus = options.devices ? count_gpus(topology.get()) : 0;
    return found;
}

}  // namespace phoenix
