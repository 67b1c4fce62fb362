#pragma once
/// What the environment says about the launcher of this process. Pure: the environment comes in as a function.

#include <functional>

namespace phoenix::mpi {

using Environment = std::function<const char*(const char* name)>;

/// How the MPI part of a process begins and ends.
struct Launch {
    bool under_mpirun{false};     ///< Rank of an mpirun or srun with PMI: MPI_Init finds its peers.
    bool may_leave_early{false};  ///< The launcher takes an exit without MPI_Finalize as a good one.
};

[[nodiscard]] Launch read_launch(const Environment& variable);

}  // namespace phoenix::mpi
