#include "topology/topology.hpp"

#include <cstdlib>
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
    [[nodiscard]] int first() const {
        int cpu = 0;
        while (cpu < CPU_SETSIZE && !has(cpu)) ++cpu;
        return cpu;
    }
    [[nodiscard]] bool has(int cpu) const { return CPU_ISSET(cpu, &before_); }
    static void bind_to(int cpu) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
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
    Affinity::bind_to(affinity.first());
    const Capabilities found = discover();
    EXPECT_EQ(found.hardware_threads, 1U);
    EXPECT_EQ(found.cores, 1U);
}

/// To hwloc the machine is another one, on whose processors this process may run.
class SyntheticMachine {
  public:
    explicit SyntheticMachine(const char* description) {
        setenv("HWLOC_SYNTHETIC", description, 1);
        setenv("HWLOC_THISSYSTEM", "1", 1);
    }
    SyntheticMachine(const SyntheticMachine&) = delete;
    SyntheticMachine& operator=(const SyntheticMachine&) = delete;
    ~SyntheticMachine() {
        unsetenv("HWLOC_SYNTHETIC");
        unsetenv("HWLOC_THISSYSTEM");
    }
};

TEST(Topology, AProcessHasANumaNodeIfItIsBoundToOne) {
    const Affinity affinity;
    if (!affinity.has(0) || !affinity.has(1)) GTEST_SKIP() << "needs processors 0 and 1";
    EXPECT_EQ(discover().numa_nodes == 1, discover().numa_node.has_value()) << "all are near the only one";
    const SyntheticMachine machine{"numanode:2 core:1 pu:1"};
    EXPECT_EQ(discover().numa_nodes, 2U);
    EXPECT_FALSE(discover().numa_node.has_value());
    Affinity::bind_to(1);
    EXPECT_EQ(discover().numa_node, 1U);
    Affinity::bind_to(0);
    EXPECT_EQ(discover().numa_node, 0U);
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
