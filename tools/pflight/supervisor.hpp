#pragma once
/// Starts the members of a job and sees it through to its end.

#include "control/agent.hpp"
#include "pflight/audience.hpp"
#include "pflight/members.hpp"
#include "pflight/port_keeper.hpp"
#include "pflight/run_options.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace phoenix::pflight {

/// One job, or one node's part of a job, from start to exit status. Single-threaded but for the agent's server.
class Supervisor {
  public:
    Supervisor(const RunOptions& options, Agent& agent, Audience& audience);

    /// Returns the exit status when no process of the job is left. SIGINT, SIGTERM and SIGHUP must be blocked.
    int run();

  private:
    [[nodiscard]] tl::expected<void, Failure> start_members();
    [[nodiscard]] tl::expected<pid_t, Failure> start_member(bool grown = false);
    void grow();
    [[nodiscard]] bool takes_nobody() const noexcept;
    void wait_for_news();
    void take_signals();
    [[nodiscard]] bool told_to_end();
    void watch();
    void take_events();
    void take_endings();
    void replace(const MemberProcess& dead);
    void find_ranks();
    void reap_mpirun();
    void end_idle_mpirun();
    void resume_stopped();
    void end_forgotten();
    void end_after_failure();
    [[nodiscard]] bool finished() const;
    void end_all();
    int conclude();
    void see_port_off();

    const RunOptions& options_;
    Agent& agent_;
    ControlSegment& segment_;
    Audience& audience_;
    MemberProcesses processes_;
    std::optional<PortKeeper> port_;  ///< Of a node of several.
    EventReader events_;
    FileDescriptor signals_;
    int interrupting_signal_{0};  ///< The first that asked us to end.
    Orders orders_;               ///< Of the audience, all so far.
    std::uint32_t interruptions_{0};
    std::uint32_t replacements_{0};
    std::uint64_t failed_since_ns_{0};
    bool someone_left_{false};                            ///< At the end of its program.
    bool concluded_{false};                               ///< All members have ended, and the node will not get others.
    std::map<std::size_t, std::uint64_t> stopped_since_;  ///< By index of the process.
    std::vector<bool> resumed_;                           ///< By index of the fault.
    // Mode mpi
    pid_t mpirun_pid_{0};
    ProcessHandle mpirun_;
    bool mpirun_ended_{false};
    int mpirun_status_{0};
    std::uint64_t ranks_seen_ns_{0};  ///< When the number of ranks last grew.
    bool missing_ranks_counted_{false};
    std::uint64_t mpirun_idle_since_ns_{0};
    std::string mpi_namespace_;
};

/// Blocks the signals that Supervisor takes. Before any thread is made.
void block_supervised_signals() noexcept;
/// A signalfd of these.
[[nodiscard]] FileDescriptor signalfd_of_supervision() noexcept;
/// Why a job ends when whoever runs it gets signal `number`.
[[nodiscard]] std::string interruption_sentence(int number);

}  // namespace phoenix::pflight
