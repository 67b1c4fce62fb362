#pragma once
/// Options of `pflight run`: declared for the command line, then checked; each refusal is one sentence with its remedy.

#include "control/fault_plan.hpp"
#include "memory/settings.hpp"
#include "pflight/host_options.hpp"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix::pflight {

enum class LaunchMode : std::uint8_t { local, mpi };
enum class ProgressMode : std::uint8_t { automatic, always, never, json_lines };

/// What to do, checked.
struct RunOptions {
    std::uint32_t members{1};
    LaunchMode mode{LaunchMode::local};
    std::string job_id;  ///< Empty: drawn.
    Settings settings;
    std::vector<PlannedFault> faults;
    ProgressMode progress{ProgressMode::automatic};
    bool quiet{false};
    bool timeline{false};
    bool respawn{false};
    bool awaits_port{false};                ///< Of an agent: see StartOrder.
    bool mpi_between{false};                ///< MPI carries large payloads between nodes.
    std::uint64_t carry_from{0};            ///< The smallest, in bytes; 0: as usual.
    std::vector<std::string> remote_shell;  ///< For mpirun.
    std::string program;                    ///< Path of the executable.
    std::vector<std::string> arguments;     ///< Of the program, without its name.
    std::string mpirun;                     ///< Path, in mode mpi.
    std::uint32_t nodes{1};
    std::vector<NodePlace> places;                       ///< Of each node, if they are started by agents; else empty.
    std::vector<std::uint32_t> shares;                   ///< Members of each node, likewise.
    Environment exported;                                ///< For the processes of all nodes.
    std::vector<std::vector<PlannedFault>> node_faults;  ///< By node, if there are several; `faults` is empty then.
    // Of the agent of one node of several
    std::optional<std::uint32_t> node;
    int member_output{-1};       ///< Descriptor for the members' stdout; -1: our own.
    bool output_relayed{false};  ///< Somebody who may die passes it on.
    std::string port_listens_at{"127.0.0.1"};
};

/// The command line as it was typed.
class RunCommand {
  public:
    void declare(CLI::App& application);
    [[nodiscard]] bool chosen() const { return command_->parsed(); }
    /// @error invalid_argument, system  One sentence: what is wrong and what to write instead.
    [[nodiscard]] tl::expected<RunOptions, Failure> checked() const;

  private:
    using Check = tl::expected<void, Failure>;
    [[nodiscard]] tl::expected<std::uint32_t, Failure> member_number() const;
    [[nodiscard]] Check check_program(RunOptions& options) const;
    [[nodiscard]] Check check_members(RunOptions& options) const;
    [[nodiscard]] Check check_hosts(RunOptions& options) const;
    [[nodiscard]] Check check_between(RunOptions& options) const;
    [[nodiscard]] Check check_nodes(RunOptions& options) const;
    [[nodiscard]] Check check_mode(RunOptions& options) const;
    [[nodiscard]] Check check_node_faults(RunOptions& options) const;
    [[nodiscard]] Check check_faults(RunOptions& options) const;
    [[nodiscard]] Check check_checkpoints(RunOptions& options) const;
    [[nodiscard]] Check check_limits(RunOptions& options) const;
    [[nodiscard]] Check check_output(RunOptions& options) const;

    CLI::App* command_{nullptr};
    std::string members_;
    std::string nodes_;
    HostOptions hosts_;
    std::string between_;
    bool local_{false};
    bool mpi_{false};
    std::vector<std::string> faults_;
    std::string chaos_;
    std::string placement_{"block"};
    std::string checkpoint_;
    std::string checkpoint_every_;
    std::string checkpoint_keep_;
    std::string restart_;
    bool verify_replay_{false};
    bool always_move_{false};
    bool quiet_{false};
    std::string progress_{"auto"};
    bool timeline_{false};
    bool respawn_{false};
    std::string job_;
    std::string stack_size_;
    std::string log_memory_max_;
    std::string heartbeat_timeout_;
    std::string start_timeout_;
};

}  // namespace phoenix::pflight
