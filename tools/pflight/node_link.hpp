#pragma once
/// The launcher's hold on one node of a job: its agent, what the agent has said, and what is left if the agent dies.

#include "pflight/host_options.hpp"
#include "pflight/line_channel.hpp"
#include "pflight/node_protocol.hpp"
#include "pflight/orphaned_node.hpp"
#include "pflight/timeline.hpp"

#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace phoenix::pflight {

/// What a node means to the job as a whole.
struct NodeNews {
    bool address_changed{false};
    std::vector<std::string> sentences;  ///< For people.
    std::string output;                  ///< What members have printed.
};

class NodeLink {
  public:
    NodeLink(std::uint32_t node, std::string job_id, NodePlace place, Timeline timeline);

    /// Starts the agent and tells it what to do; `order.relay`, `output` and `listen` are filled in here.
    [[nodiscard]] tl::expected<void, Failure> start(StartOrder order);
    void send(const Order& order);
    /// Takes what the agent says, and notices if it has gone.
    NodeNews look();
    void end(const EndOrder& order);
    /// All nodes are done.
    void finish();
    /// Does not wait for the agent any longer.
    void kill_agent() noexcept { agent_.signal(SIGKILL); }

    [[nodiscard]] std::uint32_t node() const noexcept { return node_; }
    /// How the members of the node have ended; nothing while they live.
    [[nodiscard]] const std::optional<Verdict>& ending() const noexcept { return ending_; }
    /// True once no process of the node is left, as far as can be seen from here.
    [[nodiscard]] bool gone() const noexcept { return gone_; }
    /// The agent is gone and what it left is on another machine: how that ends is not seen from here.
    [[nodiscard]] bool lost() const noexcept { return lost_; }
    /// Nodes that have told this one that their work is completed.
    [[nodiscard]] const std::vector<std::uint32_t>& over() const noexcept { return over_; }
    [[nodiscard]] std::uint64_t address() const noexcept { return address_; }
    /// What its agent has said when it had started.
    [[nodiscard]] const std::optional<StartedReport>& started() const noexcept { return started_; }
    [[nodiscard]] const NodePlace& place() const noexcept { return place_; }
    [[nodiscard]] std::uint32_t port_restarts() const noexcept { return port_restarts_; }
    [[nodiscard]] const Timeline& timeline() const noexcept { return timeline_; }
    [[nodiscard]] ProgressSample& progress() noexcept { return progress_; }
    /// For poll(): the agent's words and its end. -1: nothing to wait for.
    [[nodiscard]] int words() const noexcept { return channel_.descriptor(); }
    [[nodiscard]] int life() const noexcept { return agent_lives_ && agent_.valid() ? agent_.descriptor() : -1; }

  private:
    void take(Report& report, NodeNews& news);
    void take_process(const ProcessReport& process);
    void agent_ended(NodeNews& news);
    void remote_agent_ended(const std::string& how, NodeNews& news);
    void look_at_orphans();

    std::uint32_t node_;
    std::string job_id_;  ///< Of the node.
    NodePlace place_;
    std::optional<StartedReport> started_;
    bool lost_{false};
    std::uint64_t clock_ahead_ns_{0};  ///< Of ours, against that of the other machine; wraps.
    std::vector<std::uint32_t> over_;
    std::string checkpoint_directory_;
    Timeline timeline_;
    pid_t pid_{0};
    ProcessHandle agent_;
    bool agent_lives_{false};
    LineChannel channel_;
    std::optional<ControlSegment> segment_;  ///< So that the end of the members is seen even without the agent.
    std::vector<ProcessIdentity> members_;
    std::vector<ProcessIdentity> ports_;
    std::unique_ptr<OrphanedNode> orphans_;
    std::optional<EndOrder> ordered_end_;
    bool finish_{false};
    std::optional<Verdict> ending_;
    bool gone_{false};
    ProgressSample progress_;
    std::uint64_t address_{0};
    std::uint32_t port_restarts_{0};
};

}  // namespace phoenix::pflight
