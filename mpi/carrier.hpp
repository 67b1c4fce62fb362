#pragma once
/// MPI as a carrier of large payloads between the ports of nodes.

#include "transport/carrier.hpp"

#include <memory>

namespace phoenix::mpi {

/// A carrier that joins the world of the mpirun which has started this process. MPI is called by a thread of its own
/// and by nobody else; MPI_Init takes its time there, or never returns. While nothing is under way the thread sleeps.
///
/// Requests to ranks that have died are abandoned, not waited for; there is no MPI_Finalize: leave the process by
/// _exit().
/// @param world  The same in all ranks, and in no other mpirun that this job uses. Not 0.
[[nodiscard]] std::unique_ptr<Carrier> make_carrier(std::uint64_t world);

}  // namespace phoenix::mpi
