#pragma once
/// Lets an example run under mpirun when MPI is built in, and without MPI otherwise.

#include <phoenix/world.hpp>

#if PHOENIX_WITH_MPI
#include <phoenix/mpi.hpp>
#endif

namespace support {

/// What to give to phoenix::Runtime as its world.
[[nodiscard]] inline phoenix::World* launch_world() noexcept {
#if PHOENIX_WITH_MPI
    return &phoenix::mpi_world();
#else
    return nullptr;
#endif
}

}  // namespace support
