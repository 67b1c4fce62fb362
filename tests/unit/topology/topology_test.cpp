#include "topology/topology.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace phoenix {
namespace {

/// Restores the affinity of the process, whatever the test did to it.
class Affinity {
  public:
    Affinity() { sched_getaffinity(0, sizeof(before_), &before_); }
    Affinity(const Affinity&) = delete;
    Affinity& operator=(const Affinity&) = delete;
    ~Affinity() { sched_setaffinity(0, sizeof(before_), &before_); }

    [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(CPU_COUNT(&before_)); }
    void bind_to_first() const {
        cpu_set_t one;
        CPU_ZERO(&one);
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &before_)) {
                CPU_SET(cpu, &one);
                break;
            }
        }
        ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    }

  private:
    cpu_set_t before_{};
};

TEST(Topology, CountsWhatThisProcessMayRunOn) {
    const Affinity affinity;
    const Capabilities found = discover();
    EXPECT_EQ(found.hardware_threads, affinity.count());
    EXPECT_GE(found.cores, 1U);
    EXPECT_LE(found.cores, found.hardware_threads);
    EXPECT_GE(found.numa_nodes, 1U);
    EXPECT_GT(found.memory_bytes, 0U);
}

TEST(Topology, AProcessBoundToOneHardwareThreadHasOneCore) {
    const Affinity affinity;
    affinity.bind_to_first();
    const Capabilities found = discover();
    EXPECT_EQ(found.hardware_threads, 1U);
    EXPECT_EQ(found.cores, 1U);
}

TEST(Topology, LooksForDevicesOnlyWhenAsked) {
#if defined(__SANITIZE_ADDRESS__)
    // hwloc's device plugins load vendors' libraries, which keep what they allocate and are unloaded again.
    const __lsan::ScopedDisabler foreign_leaks;
#endif
    EXPECT_EQ(discover({.devices = false}).gpus, 0U);
    Capabilities with_devices = discover({.devices = true});
    with_devices.gpus = 0;  // this machine may have some
    EXPECT_EQ(with_devices, discover());
}

TEST(Topology, NamesCapabilitiesForTheIndex) {
    Capabilities capabilities;
    capabilities.cores = 8;
    capabilities.numa_nodes = 2;
    EXPECT_EQ(capabilities.names(), (std::vector<std::string>{"cores:8", "numa:2"}));
    capabilities.gpus = 4;
    EXPECT_EQ(capabilities.names().back(), "gpu");
}

}  // namespace
}  // namespace phoenix
