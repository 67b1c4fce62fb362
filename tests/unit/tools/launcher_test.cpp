#include "pflight/launcher.hpp"

#include <algorithm>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace phoenix::pflight {
namespace {

using testing::Contains;
using testing::Not;

bool exists(const std::string& name) { return access(("/dev/shm/" + name).c_str(), F_OK) == 0; }

void touch(const std::string& name) { close(open(("/dev/shm/" + name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)); }

TEST(OpenMpiMajor, IsReadFromTheVersionLineAndNothingElse) {
    EXPECT_EQ(open_mpi_major("mpirun (Open MPI) 4.1.4\n"), 4);
    EXPECT_EQ(open_mpi_major("mpirun (Open MPI) 5.0.7\n"), 5);
    EXPECT_EQ(open_mpi_major("HYDRA build details: Version: 4.0.2\n"), 0);
    EXPECT_EQ(open_mpi_major(""), 0);
}

TEST(MpirunArguments, LetSurvivorsLiveOnWithEitherOpenMpi) {
    const MpirunCall call{"mpirun", 4, {"/bin/plate", {"--steps", "3"}, {{"PHOENIX_SECRET", "hidden"}}}};
    const auto four = mpirun_arguments(call, 4, 2);
    EXPECT_THAT(four, Contains("--enable-recovery"));
    EXPECT_THAT(four, Contains("orte_abort_on_non_zero_status"));
    EXPECT_THAT(four, Contains("orte_allowed_exit_without_sync"));
    const auto five = mpirun_arguments(call, 5, 2);
    EXPECT_THAT(five, Contains("ulfm"));
    EXPECT_THAT(five, Not(Contains("orte_abort_on_non_zero_status")));
    const std::vector<std::string> end{"-n", "4", "-x", "PHOENIX_SECRET", "/bin/plate", "--steps", "3"};
    for (const auto& words : {four, five}) {
        ASSERT_GE(words.size(), end.size());
        EXPECT_TRUE(std::equal(end.begin(), end.end(), words.end() - static_cast<std::ptrdiff_t>(end.size())));
        EXPECT_THAT(words, Not(Contains(testing::HasSubstr("hidden"))))
            << "command lines are there for all users to read";
    }
}

TEST(MpirunArguments, BindNoRankWhenThereAreMoreThanCores) {
    const MpirunCall call{"mpirun", 4, {"/bin/plate", {}, {}}};
    EXPECT_THAT(mpirun_arguments(call, 4, 2), Contains("--bind-to"));
    EXPECT_THAT(mpirun_arguments(call, 4, 4), Not(Contains("--bind-to")));
}

TEST(RemoveOpenMpiSegments, TakesThoseOfTheJobAndItsSpawnedJobsOnly) {
    // Job families far from those that mpirun makes of its own pid while this runs.
    const auto name = [](unsigned job, int rank) {
        return fmt::format("vader_segment.unit-test.{}.{:x}.{}", getuid(), job, rank);
    };
    const unsigned family = 0x00010000U;
    const std::vector<std::string> ours{name(family + 1, 0), name(family + 1, 3), name(family + 2, 0)};
    const std::vector<std::string> others{name(family * 2 + 1, 0), name(family * 16 + 1, 0), name(family * 17 + 1, 0)};
    // mpirun writes the number of a job without leading zeros: 10001 must not be found in 100001 or 110001.
    for (const auto& file : ours) touch(file);
    for (const auto& file : others) touch(file);
    remove_open_mpi_segments(std::to_string(family + 1));
    for (const auto& file : ours) EXPECT_FALSE(exists(file)) << file;
    for (const auto& file : others) EXPECT_TRUE(exists(file)) << file;
    for (const auto& file : others) unlink(("/dev/shm/" + file).c_str());
    remove_open_mpi_segments("");
    remove_open_mpi_segments("prterun-host-17@1");
}

}  // namespace
}  // namespace phoenix::pflight
