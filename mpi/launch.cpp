#include "launch.hpp"

#include <string_view>

namespace phoenix::mpi {

namespace {

bool is_true(const char* text) {
    if (text == nullptr) return false;
    const std::string_view value{text};
    return value == "1" || value == "true" || value == "yes" || value == "enabled";
}

}  // namespace

Launch read_launch(const Environment& variable) {
    Launch launch;
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_NAMESPACE", "PMI_SIZE"})
        launch.under_mpirun = launch.under_mpirun || variable(name) != nullptr;
    // mpirun hands its own parameters on to the ranks; Open MPI 5 (PRRTE) has other names for the same switch. A job of
    // `pflight run` takes its result from its own record, whatever mpirun thinks of the end of a rank.
    for (const char* name : {"OMPI_MCA_orte_allowed_exit_without_sync", "PRTE_MCA_prte_allowed_exit_without_sync"})
        launch.may_leave_early = launch.may_leave_early || is_true(variable(name));
    launch.may_leave_early = launch.may_leave_early || variable("PHOENIX_AGENT") != nullptr;
    return launch;
}

}  // namespace phoenix::mpi
