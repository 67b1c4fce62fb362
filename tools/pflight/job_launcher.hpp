#pragma once
/// A job of several nodes: starts an agent on each, spreads the addresses of their ports, shows them as one job, ends
/// all if one fails.

#include "pflight/mpi_ports.hpp"
#include "pflight/node_link.hpp"
#include "pflight/progress.hpp"
#include "pflight/run_options.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace phoenix::pflight {

class JobLauncher {
  public:
    explicit JobLauncher(const RunOptions& options);

    /// Returns the exit status when no process of the job is left. SIGINT, SIGTERM and SIGHUP must be blocked.
    int run();

  private:
    [[nodiscard]] tl::expected<void, Failure> start_nodes();
    [[nodiscard]] bool all_gone() const noexcept;
    [[nodiscard]] bool all_ended() const noexcept;
    void wait_for_news();
    void take_signals();
    void look_at_nodes();
    void say_if_deserted(const NodeLink& node);
    /// Hands what members have printed to stdout, as far as it takes it.
    void print_some();
    void print_rest();
    void judge_lost_nodes();
    void spread_addresses();
    /// Once all nodes are there: mpirun for their ports. Without it agents start them.
    void look_at_mpi_ports();
    void order_end(const EndOrder& order);
    /// Ends the others if one has failed, lets ports end if all are done. False if it is no use to wait any longer.
    [[nodiscard]] bool judge();
    void show_progress();
    int conclude();
    void say(const std::string& sentence) { display_.line("pflight: " + sentence); }

    const RunOptions& options_;
    std::string job_id_;
    ProgressDisplay display_;
    std::vector<std::unique_ptr<NodeLink>> nodes_;
    std::optional<MpiPorts> mpi_ports_;
    std::string secret_;  ///< In hexadecimal, for them.
    FileDescriptor signals_;
    int interrupting_signal_{0};  ///< The first that asked us to end.
    std::uint32_t interruptions_{0};
    std::optional<Verdict> failure_;  ///< The first.
    std::string unprinted_;
    std::set<std::uint32_t> deserted_;  ///< Nodes without members, as said.
    std::optional<EndOrder> end_;       ///< As ordered.
    std::uint64_t end_ns_{0};
};

}  // namespace phoenix::pflight
