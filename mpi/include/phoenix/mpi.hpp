#pragma once
/// phoenixflight::mpi: lets a member be a rank of an mpirun whose other ranks may die.

#include <phoenix/world.hpp>

namespace phoenix {

/// The world to give to Runtime in a program that mpirun may start:
/// `phoenix::Runtime runtime{argc, argv, &phoenix::mpi_world()};`
///
/// Under mpirun it ignores SIGPIPE, which otherwise kills whoever still talks to a dead rank. It does not initialise
/// MPI: members of a node talk through shared memory, and a process that dies while others are inside MPI_Init leaves
/// them and mpirun there for ever. An application that wants MPI calls MPI_Init_thread itself, before it makes its
/// Runtime (MPI_THREAD_MULTIPLE is recommended), and MPI_Finalize after the runtime has ended.
///
/// Linking phoenixflight::mpi replaces MPI_Finalize by one that is safe here: it does nothing (and returns MPI_SUCCESS)
/// after a death, or where a rank may die inside it, as under `pflight run`; there the process leaves by its ordinary
/// end, which the launcher accepts. Under a plain mpirun without deaths it is MPI's own.
///
/// One per process. @threads The main thread only.
[[nodiscard]] World& mpi_world() noexcept;

}  // namespace phoenix
