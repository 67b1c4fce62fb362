#include "launch.hpp"

#include <gtest/gtest.h>
#include <map>
#include <string>

namespace phoenix::mpi {
namespace {

Launch launch_of(const std::map<std::string, std::string>& environment) {
    return read_launch([&](const char* name) {
        const auto found = environment.find(name);
        return found == environment.end() ? nullptr : found->second.c_str();
    });
}

TEST(Launch, AloneIsNotUnderMpirun) {
    EXPECT_FALSE(launch_of({}).under_mpirun);
    EXPECT_FALSE(launch_of({{"PHOENIX_AGENT", "x"}}).under_mpirun);
}

TEST(Launch, UnderAPlainMpirunMpiIsFinalised) {
    const Launch launch = launch_of({{"OMPI_COMM_WORLD_SIZE", "4"}});
    EXPECT_TRUE(launch.under_mpirun);
    EXPECT_FALSE(launch.may_leave_early);
    EXPECT_FALSE(
        launch_of({{"PMIX_NAMESPACE", "1"}, {"OMPI_MCA_orte_allowed_exit_without_sync", "0"}}).may_leave_early);
}

TEST(Launch, WhereRanksMayLeaveEarlyMpiIsNotFinalised) {
    EXPECT_TRUE(
        launch_of({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_MCA_orte_allowed_exit_without_sync", "1"}}).may_leave_early);
    EXPECT_TRUE(
        launch_of({{"PMIX_NAMESPACE", "1"}, {"PRTE_MCA_prte_allowed_exit_without_sync", "true"}}).may_leave_early);
    EXPECT_TRUE(launch_of({{"PMIX_NAMESPACE", "1"}, {"PHOENIX_AGENT", "x"}}).may_leave_early);
}

}  // namespace
}  // namespace phoenix::mpi
