#pragma once
/// A running job in the hands of a command: opened by the name given, watched until something has come about.

#include "control/observation.hpp"
#include "pflight/job_view.hpp"
#include "pflight/member_name.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix::pflight {

/// One node's part of it.
class RunningNode {
  public:
    explicit RunningNode(ObservedJob job) noexcept : job_(std::move(job)) {}

    [[nodiscard]] const ControlSegment& segment() const noexcept { return *job_.segment; }
    [[nodiscard]] const Arena& arena() const noexcept { return job_.arena; }
    /// Of the whole job.
    [[nodiscard]] std::string id() const { return std::string{job_of_segment(segment().job_id())}; }
    /// Nothing in a job of one node.
    [[nodiscard]] std::optional<std::uint32_t> node() const {
        const ControlHeader& header = segment().header();
        return header.node_count > 1 ? std::optional{header.node_id} : std::nullopt;
    }
    /// What the member in `slot` of this node is called.
    [[nodiscard]] std::string name_of(std::uint32_t slot) const { return text_of(MemberName{node(), slot}); }
    [[nodiscard]] std::vector<MemberView> members() const { return read_members(segment(), arena()); }
    [[nodiscard]] bool has_living_agent() const noexcept;

    /// How the job ended, as a sentence; nothing while it runs.
    [[nodiscard]] std::optional<std::string> ending() const;

    /// Looks again and again until `done` says so. False if `timeout_ns` passed before that; 0: no limit.
    [[nodiscard]] static bool wait_until(const std::function<bool()>& done, std::uint64_t timeout_ns);

  private:
    ObservedJob job_;
};

class RunningJob {
  public:
    /// @error invalid_argument  No name that a job can have.
    /// @error others            As observe_nodes.
    [[nodiscard]] static tl::expected<RunningJob, Failure> open(const std::string& job_id);

    /// Those that run on this machine, in order; at least one.
    [[nodiscard]] const std::vector<RunningNode>& nodes() const noexcept { return nodes_; }
    [[nodiscard]] bool has_several_nodes() const { return nodes_.front().node().has_value(); }
    [[nodiscard]] std::string id() const { return nodes_.front().id(); }
    /// @error wrong_state  It does not run here; says which do.
    [[nodiscard]] tl::expected<const RunningNode*, Failure> node(std::uint32_t number) const;
    /// The node that `name` means.
    /// @error wrong_state  As above; or the name has no node and the job has several.
    [[nodiscard]] tl::expected<const RunningNode*, Failure> node_of(const MemberName& name) const;

  private:
    explicit RunningJob(std::vector<RunningNode> nodes) noexcept : nodes_(std::move(nodes)) {}
    std::vector<RunningNode> nodes_;
};

/// Exit status and complaint for a job that cannot be opened.
[[nodiscard]] int cannot_open(const Failure& failure);

}  // namespace phoenix::pflight
