#include "sim/nodes.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>
#include <ostream>
#include <string>

namespace phoenix::sim {
namespace {

constexpr std::uint64_t node_schedule_floor = 10'000;

// A schedule takes thirty times as long in an instrumented build, which looks for other things.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool instrumented = true;
#else
constexpr bool instrumented = false;
#endif

std::uint64_t node_schedule_count() {
    if (instrumented) return node_schedule_floor / 20;
    const char* scale = std::getenv("PHOENIX_TEST_SCALE");
    const double factor = scale == nullptr ? 1.0 : std::strtod(scale, nullptr);
    return std::max(node_schedule_floor, static_cast<std::uint64_t>(factor * static_cast<double>(node_schedule_floor)));
}

TEST(NodesSimulation, KeepsItsPromisesUnderEverySchedule) {
    const char* one = std::getenv("PHOENIX_SIM_SEED");
    const std::uint64_t first = one == nullptr ? 1 : std::strtoull(one, nullptr, 0);
    const std::uint64_t count = one != nullptr ? 1 : node_schedule_count();
    NodeStatistics total;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        const NodeOutcome outcome = simulate_nodes(NodeOptions::drawn_from(seed));
        ASSERT_EQ(outcome.failure, "") << "repeat with PHOENIX_SIM_SEED=" << seed;
        total += outcome.statistics;
    }
    std::printf(
        "%llu schedules: %llu events, %llu deaths of ports, %llu of workers, %llu nodes deserted, %llu VNodes brought "
        "away from there, %llu moves between nodes, %llu states "
        "that "
        "came again, %llu messages shipped (%llu of them on from a wrong node), %llu held for their state, %llu "
        "duplicates dropped\n",
        static_cast<unsigned long long>(count), static_cast<unsigned long long>(total.events),
        static_cast<unsigned long long>(total.port_deaths), static_cast<unsigned long long>(total.worker_deaths),
        static_cast<unsigned long long>(total.desertions), static_cast<unsigned long long>(total.evacuated),
        static_cast<unsigned long long>(total.moves), static_cast<unsigned long long>(total.repeated),
        static_cast<unsigned long long>(total.shipped), static_cast<unsigned long long>(total.forwarded),
        static_cast<unsigned long long>(total.held), static_cast<unsigned long long>(total.duplicates));
    if (one != nullptr) return;
    // The schedules must reach what they are for.
    EXPECT_GT(total.port_deaths, count);
    EXPECT_GT(total.worker_deaths, count / 4);
    EXPECT_GT(total.desertions, count / 2);
    EXPECT_GT(total.evacuated, count);
    EXPECT_GT(total.moves, 2 * count);
    EXPECT_GT(total.repeated, count / 20);
    EXPECT_GT(total.forwarded, count / 10);
    EXPECT_GT(total.held, count / 20);
    EXPECT_GT(total.duplicates, count / 10);
}

TEST(NodesSimulation, TheSameSeedIsTheSameSchedule) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const NodeOutcome first = simulate_nodes(NodeOptions::drawn_from(seed));
        const NodeOutcome second = simulate_nodes(NodeOptions::drawn_from(seed));
        EXPECT_EQ(first.statistics.events, second.statistics.events);
        EXPECT_EQ(first.statistics.shipped, second.statistics.shipped);
    }
}

struct PlantedNodeBug {
    NodePlant plant;
    const char* name;
    const char* promise;  ///< Which promise it must break: prefix of the failure.

    /// Names the bug in the name of the test.
    friend std::ostream& operator<<(std::ostream& out, const PlantedNodeBug& bug) { return out << bug.name; }
};

class PlantedNodeBugs : public testing::TestWithParam<PlantedNodeBug> {};

TEST_P(PlantedNodeBugs, AreFound) {
    const PlantedNodeBug& bug = GetParam();
    for (std::uint64_t seed = 1; seed <= node_schedule_floor; ++seed) {
        const NodeOutcome outcome = simulate_nodes(NodeOptions::drawn_from(seed, bug.plant));
        if (outcome.failure.empty()) continue;
        std::printf("%s: found by schedule %llu: %s\n", bug.name, static_cast<unsigned long long>(seed),
                    outcome.failure.c_str());
        EXPECT_EQ(outcome.failure.rfind(bug.promise, 0), 0U) << outcome.failure;
        return;
    }
    FAIL() << "the simulation does not find " << bug.name;
}

INSTANTIATE_TEST_SUITE_P(
    NodesSimulation, PlantedNodeBugs,
    testing::Values(PlantedNodeBug{NodePlant::say_stored_before_word, "SayStoredBeforeWord", "I"},
                    PlantedNodeBug{NodePlant::free_when_sent, "FreeWhenSent", "I"},
                    PlantedNodeBug{NodePlant::take_old_states, "TakeOldStates", "I"},
                    PlantedNodeBug{NodePlant::release_when_sent, "ReleaseWhenSent", "I3"},
                    PlantedNodeBug{NodePlant::learn_of_oneself, "LearnOfOneself", "I"},
                    PlantedNodeBug{NodePlant::forget_by_present_place, "ForgetByPresentPlace", "I3"},
                    PlantedNodeBug{NodePlant::trust_acceptance, "TrustAcceptance", "I3"},
                    PlantedNodeBug{NodePlant::word_before_state, "WordBeforeState", "I"},
                    PlantedNodeBug{NodePlant::evacuate_the_living, "EvacuateTheLiving", "I"}),
    [](const testing::TestParamInfo<PlantedNodeBug>& parameter) { return std::string{parameter.param.name}; });

}  // namespace
}  // namespace phoenix::sim
