#pragma once
/// A job of several nodes as text for people (tables with a column for the node) and as JSON ("nodes": what a job of
/// one node is, with its number). Pure.

#include "pflight/job_report.hpp"

#include <string>
#include <vector>

namespace phoenix::pflight {

/// One node's part of `pflight vnodes`.
struct NodeVNodes {
    std::uint32_t node{0};
    std::vector<DomainVNodes> domains;
};

// `nodes` is never empty.
[[nodiscard]] std::string nodes_status_text(const std::vector<JobView>& nodes);
[[nodiscard]] std::string nodes_status_json(const std::vector<JobView>& nodes);
[[nodiscard]] std::string nodes_members_text(const std::vector<JobView>& nodes);
[[nodiscard]] std::string nodes_members_json(const std::vector<JobView>& nodes);
[[nodiscard]] std::string nodes_vnodes_text(const std::vector<NodeVNodes>& nodes);
[[nodiscard]] std::string nodes_vnodes_json(const std::string& job_id, const std::vector<NodeVNodes>& nodes);

}  // namespace phoenix::pflight
