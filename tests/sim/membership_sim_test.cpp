#include "sim/world.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>
#include <ostream>
#include <string>

namespace phoenix::sim {
namespace {

constexpr std::uint64_t schedule_floor = 10'000;

// A schedule takes thirty times as long in an instrumented build, which looks for other things.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool instrumented = true;
#else
constexpr bool instrumented = false;
#endif

/// PHOENIX_TEST_SCALE multiplies the number of schedules; never below the floor.
std::uint64_t schedule_count() {
    if (instrumented) return schedule_floor / 10;
    const char* scale = std::getenv("PHOENIX_TEST_SCALE");
    const double factor = scale == nullptr ? 1.0 : std::strtod(scale, nullptr);
    return std::max(schedule_floor, static_cast<std::uint64_t>(factor * static_cast<double>(schedule_floor)));
}

/// PHOENIX_SIM_SEED repeats a single schedule.
std::uint64_t first_seed() {
    const char* seed = std::getenv("PHOENIX_SIM_SEED");
    return seed == nullptr ? 1 : std::strtoull(seed, nullptr, 0);
}

using MakeOptions = Options (*)(std::uint64_t seed, Plant plant);

/// Runs schedules from first_seed() on until one breaks a promise; the sums of all.
Statistics run_schedules(MakeOptions options, std::uint64_t count) {
    Statistics total;
    for (std::uint64_t seed = first_seed(); seed < first_seed() + count; ++seed) {
        const Outcome outcome = simulate(options(seed, Plant::none));
        total += outcome.statistics;
        EXPECT_EQ(outcome.failure, "") << "repeat with PHOENIX_SIM_SEED=" << seed;
        if (!outcome.failure.empty()) {
            break;
        }
    }
    std::printf(
        "%llu schedules: %llu events, %llu deaths (%llu of the coordinator, %llu of hung members), %llu views, "
        "%llu adoptions, %llu hand-overs (%llu asked for), %llu members drained, %llu of them needed again, "
        "%llu messages sent again, %llu duplicates dropped, %llu slots used again\n",
        static_cast<unsigned long long>(count), static_cast<unsigned long long>(total.events),
        static_cast<unsigned long long>(total.deaths), static_cast<unsigned long long>(total.coordinator_deaths),
        static_cast<unsigned long long>(total.hung_killed), static_cast<unsigned long long>(total.views),
        static_cast<unsigned long long>(total.adoptions), static_cast<unsigned long long>(total.hand_overs),
        static_cast<unsigned long long>(total.asked_moves), static_cast<unsigned long long>(total.drained),
        static_cast<unsigned long long>(total.reactivated), static_cast<unsigned long long>(total.resends),
        static_cast<unsigned long long>(total.duplicates), static_cast<unsigned long long>(total.reused));
    return total;
}

bool one_schedule_only() { return std::getenv("PHOENIX_SIM_SEED") != nullptr; }

TEST(MembershipSimulation, KeepsItsPromisesUnderEverySchedule) {
    const std::uint64_t count = one_schedule_only() ? 1 : schedule_count();
    const Statistics total = run_schedules(&Options::drawn_from, count);
    if (!one_schedule_only()) {
        // The schedules must reach what they are for.
        EXPECT_GT(total.deaths, count);
        EXPECT_GT(total.coordinator_deaths, count / 2);
        EXPECT_GT(total.hung_killed, count / 5);
        EXPECT_GT(total.hand_overs, count / 5);
        EXPECT_GT(total.asked_moves, count / 5);
        EXPECT_GT(total.drained, count / 20);
        EXPECT_GT(total.reactivated, count / 200);
        EXPECT_GT(total.resends, count / 20);
        EXPECT_GT(total.duplicates, count);
    }
}

TEST(MembershipSimulation, KeepsItsPromisesWhileMembersComeAndGoInFewSlots) {
    const std::uint64_t count = one_schedule_only() ? 1 : schedule_count();
    const Statistics total = run_schedules(&Options::coming_and_going, count);
    if (!one_schedule_only()) {
        EXPECT_GT(total.reused, count);
        EXPECT_GT(total.deaths, count);
        EXPECT_GT(total.resends, count / 20);
    }
}

TEST(MembershipSimulation, TheSameSeedIsTheSameSchedule) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const Outcome first = simulate(Options::drawn_from(seed));
        const Outcome second = simulate(Options::drawn_from(seed));
        EXPECT_EQ(first.statistics.events, second.statistics.events);
        EXPECT_EQ(first.statistics.duplicates, second.statistics.duplicates);
    }
}

struct PlantedBug {
    Plant plant;
    const char* name;
    const char* promise;  ///< Which promise it must break: prefix of the failure; empty: any.
    MakeOptions options{&Options::drawn_from};

    /// Names the bug in the name of the test.
    friend std::ostream& operator<<(std::ostream& out, const PlantedBug& bug) { return out << bug.name; }
};

class PlantedBugs : public testing::TestWithParam<PlantedBug> {};

TEST_P(PlantedBugs, AreFound) {
    const PlantedBug& bug = GetParam();
    for (std::uint64_t seed = 1; seed <= schedule_floor; ++seed) {
        const Outcome outcome = simulate(bug.options(seed, bug.plant));
        if (!outcome.failure.empty()) {
            std::printf("%s: found by schedule %llu: %s\n", bug.name, static_cast<unsigned long long>(seed),
                        outcome.failure.c_str());
            EXPECT_EQ(outcome.failure.rfind(bug.promise, 0), 0U) << outcome.failure;
            return;
        }
    }
    FAIL() << "the simulation does not find " << bug.name;
}

INSTANTIATE_TEST_SUITE_P(
    MembershipSimulation, PlantedBugs,
    testing::Values(PlantedBug{Plant::no_reread_after_publish, "NoRereadAfterPublish", "I3"},
                    PlantedBug{Plant::no_fence_after_publish, "NoFenceAfterPublish", "I3"},
                    PlantedBug{Plant::no_fence_before_sleep, "NoFenceBeforeSleep", "I3"},
                    PlantedBug{Plant::no_scan_on_adoption, "NoScanOnAdoption", "I3"},
                    PlantedBug{Plant::adopt_before_seen_dead, "AdoptBeforeSeenDead", "I2"},
                    PlantedBug{Plant::release_at_read, "ReleaseAtRead", "I3"},
                    PlantedBug{Plant::dedup_by_cursor, "DedupByCursor", "I3"},
                    PlantedBug{Plant::deliver_in_order_of_arrival, "DeliverInOrderOfArrival", "I4"},
                    PlantedBug{Plant::no_look_at_view_after_giving, "NoLookAtViewAfterGiving", "I3"},
                    PlantedBug{Plant::draining_takes_nothing, "DrainingTakesNothing", "I3"},
                    PlantedBug{Plant::never_come_back, "NeverComeBack", "I3"},
                    PlantedBug{Plant::take_before_admission, "TakeBeforeAdmission", "", &Options::coming_and_going},
                    PlantedBug{Plant::vacate_before_left, "VacateBeforeLeft", "", &Options::coming_and_going},
                    PlantedBug{Plant::begin_at_any_head, "BeginAtAnyHead", "", &Options::coming_and_going},
                    PlantedBug{Plant::no_second_look_at_detour, "NoSecondLookAtDetour", "",
                               &Options::coming_and_going}),
    [](const testing::TestParamInfo<PlantedBug>& parameter) { return std::string{parameter.param.name}; });

}  // namespace
}  // namespace phoenix::sim
