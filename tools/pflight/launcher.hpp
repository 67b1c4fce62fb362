#pragma once
/// Starting processes: members as children, or mpirun which starts members as its ranks.

#include "memory/control_segment.hpp"

#include <string>
#include <sys/types.h>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace phoenix::pflight {

using Environment = std::vector<std::pair<std::string, std::string>>;

inline constexpr int passed_on_descriptor = 3;

struct ProgramCall {
    std::string path;
    std::vector<std::string> arguments;  ///< Without the program's name.
    Environment environment;             ///< Added to that of this process.
    int standard_input{-1};              ///< Descriptor it reads from; -1: /dev/null.
    int standard_output{-1};             ///< Descriptor it writes to; -1: our stdout.
    bool outlives_readers{false};        ///< It is not ended by SIGPIPE when those who read what it prints are gone.
    int passed_on{-1};                   ///< Becomes its descriptor `passed_on_descriptor`; -1: nothing does.
};

/// Starts a process in a process group of its own, so that Ctrl-C on the terminal reaches the launcher only. It writes
/// to our stderr, has default signals and outlives us.
/// @error system  It cannot be started; says why.
[[nodiscard]] tl::expected<pid_t, Failure> start_process(const ProgramCall& call);

struct MpirunCall {
    std::string mpirun;  ///< Path.
    std::uint32_t ranks{1};
    ProgramCall program;
    std::vector<std::string> more{};  ///< Arguments of mpirun.
    bool free{false};                 ///< Ranks are bound to no core, and MPI chooses its components itself.
};

/// First line of `mpirun --version` says e.g. "mpirun (Open MPI) 4.1.4": 4; 0 for anything else.
[[nodiscard]] int open_mpi_major(std::string_view version_text);

/// Arguments under which ranks outlive each other's deaths with Open MPI of version `major`.
[[nodiscard]] std::vector<std::string> mpirun_arguments(const MpirunCall& call, int major, unsigned cores);

/// Starts mpirun for `call`.
/// @error system  Not Open MPI, or it cannot be started.
[[nodiscard]] tl::expected<pid_t, Failure> start_mpirun(const MpirunCall& call);

/// Removes what Open MPI's shared-memory transport leaves in /dev/shm when a rank is killed. `name_space` is a rank's
/// PMIX_NAMESPACE.
void remove_open_mpi_segments(std::string_view name_space) noexcept;

/// Value of `name` in the environment that process `pid` was started with; empty if it has none.
[[nodiscard]] std::string environment_of(pid_t pid, std::string_view name);

}  // namespace phoenix::pflight
