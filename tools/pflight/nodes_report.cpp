#include "pflight/nodes_report.hpp"

#include "pflight/member_name.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace phoenix::pflight {

namespace {

using Rows = std::vector<std::vector<std::string>>;
using OrderedJson = nlohmann::ordered_json;

// Rows of one node below those of the others, with its number in front; the heading stays that of the first.
void append(Rows& all, Rows rows, std::uint32_t node) {
    if (all.empty()) {
        all.push_back(rows.front());
        all.front().insert(all.front().begin(), "node");
    }
    for (std::size_t index = 1; index < rows.size(); ++index) {
        rows[index].insert(rows[index].begin(), std::to_string(node));
        all.push_back(std::move(rows[index]));
    }
}

std::string port_text(const JobView& job) {
    const auto port = std::find_if(job.members.begin(), job.members.end(), [](const MemberView& member) {
        return member.port && member.state != MemberState::failed && member.state != MemberState::retired;
    });
    return port == job.members.end() ? "none" : fmt::format("process {}", port->pid);
}

// "1 mpi, 2 tcp"
std::string routes_text(const JobView& job) {
    std::string text;
    for (const RouteView& route : job.routes)
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", route.node, route_name(route.state));
    return text;
}

// What the report of one node says, as an entry of "nodes".
OrderedJson entry_of(std::uint32_t node, const std::string& report) {
    OrderedJson entry{{"node", node}};
    const OrderedJson parsed = OrderedJson::parse(report);
    for (const auto& [key, value] : parsed.items())
        if (key != "job") entry[key] = value;
    return entry;
}

std::string text_of_nodes(const std::string& job_id, OrderedJson nodes) {
    const OrderedJson json{{"job", job_id}, {"nodes", std::move(nodes)}};
    return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace

std::string nodes_status_text(const std::vector<JobView>& nodes) {
    Rows overview;
    Rows domains;
    std::string outcomes;
    std::string waits;
    for (const JobView& job : nodes) {
        const std::uint32_t node = job.node.value_or(0);
        const MemberView* coordinator = coordinator_in(job);
        append(overview,
               {{"outcome", "view", "coordinator", "members", "recovered", "port", "routes", "agent"},
                {outcome_name(job.outcome), std::to_string(job.view),
                 coordinator == nullptr ? "none" : text_of(MemberName{node, coordinator->slot}), member_counts(job),
                 std::to_string(job.recoveries), port_text(job), routes_text(job), agent_text(job)}},
               node);
        append(domains, domain_rows(job), node);
        if (!job.outcome_text.empty()) outcomes += fmt::format("node {}: {}\n", node, job.outcome_text);
        for (const std::string& wait : long_waits(job)) waits += fmt::format("node {}: {}\n", node, wait);
    }
    std::string text = fmt::format("job {}, {} of its {} nodes\n\n{}", nodes.front().job_id, nodes.size(),
                                   nodes.front().nodes, table_text(overview));
    text += outcomes + waits;
    if (domains.size() > 1) text += "\n" + table_text(domains);
    return text;
}

std::string nodes_status_json(const std::vector<JobView>& nodes) {
    OrderedJson list = OrderedJson::array();
    for (const JobView& job : nodes) list.push_back(entry_of(job.node.value_or(0), status_json(job)));
    return text_of_nodes(nodes.front().job_id, std::move(list));
}

std::string nodes_members_text(const std::vector<JobView>& nodes) {
    Rows rows;
    for (const JobView& job : nodes) append(rows, member_rows(job), job.node.value_or(0));
    return table_text(rows) + "* the coordinator of its node\n";
}

std::string nodes_members_json(const std::vector<JobView>& nodes) {
    OrderedJson list = OrderedJson::array();
    for (const JobView& job : nodes) list.push_back(entry_of(job.node.value_or(0), members_json(job)));
    return text_of_nodes(nodes.front().job_id, std::move(list));
}

std::string nodes_vnodes_text(const std::vector<NodeVNodes>& nodes) {
    // Not every node need have every domain yet.
    std::vector<std::pair<std::string, Rows>> tables;
    for (const NodeVNodes& node : nodes) {
        for (const DomainVNodes& shown : node.domains) {
            const std::string name = fmt::format("{} '{}'", kind_name(shown.domain.kind), shown.domain.name);
            auto table = std::find_if(tables.begin(), tables.end(), [&](const auto& one) { return one.first == name; });
            if (table == tables.end()) table = tables.insert(tables.end(), {name, {}});
            append(table->second, vnode_rows(shown, node.node), node.node);
        }
    }
    std::string text;
    for (const auto& [name, rows] : tables)
        text += fmt::format("{}{}\n{}", text.empty() ? "" : "\n", name, table_text(rows));
    return text;
}

std::string nodes_vnodes_json(const std::string& job_id, const std::vector<NodeVNodes>& nodes) {
    OrderedJson list = OrderedJson::array();
    for (const NodeVNodes& node : nodes) list.push_back(entry_of(node.node, vnodes_json(job_id, node.domains)));
    return text_of_nodes(job_id, std::move(list));
}

}  // namespace phoenix::pflight
