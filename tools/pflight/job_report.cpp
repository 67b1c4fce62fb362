#include "pflight/job_report.hpp"

#include "pflight/member_name.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace phoenix::pflight {

namespace {

using Row = std::vector<std::string>;
using Json = nlohmann::ordered_json;

constexpr std::array states{MemberState::joining, MemberState::active, MemberState::draining, MemberState::retired,
                            MemberState::failed};

std::size_t count_in(const JobView& job, MemberState state) {
    return static_cast<std::size_t>(
        std::count_if(job.members.begin(), job.members.end(),
                      [&](const MemberView& member) { return !member.port && member.state == state; }));
}

const char* owner_state_name(OwnerState state) noexcept {
    switch (state) {
        case OwnerState::unassigned: return "unassigned";
        case OwnerState::active: return "active";
        case OwnerState::moving: return "moving";
        case OwnerState::recovering: return "recovering";
    }
    return "?";
}

std::string mode_of(const JobView& job) {
    if (job.agent_pid == 0) return job.started_by_mpirun ? "mpirun without pflight" : "a program alone";
    return job.started_by_mpirun ? "mpi" : "local";
}

std::string time_text(std::int64_t seconds, const char* format, bool utc) {
    const std::time_t time = seconds;
    std::tm parts{};
    utc ? gmtime_r(&time, &parts) : localtime_r(&time, &parts);
    char text[32];
    const std::size_t size = std::strftime(text, sizeof text, format, &parts);
    return {text, size};
}

std::string doing(const MemberView& member) {
    if (member.process == 'T') return "stopped";
    if (member.executing)
        return fmt::format("{} {} serial {}", member.executing->domain, member.executing->vnode,
                           member.executing->serial);
    return member.waiting ? "waits" : "-";
}

Json json_of(const MemberView& member) {
    Json json{{"slot", member.slot},
              {"pid", member.pid},
              {"state", state_name(member.state)},
              {"process", std::string(1, member.process)},
              {"incarnation", member.incarnation},
              {"seniority", member.seniority},
              {"vnodes", member.vnodes},
              {"steps", member.steps},
              {"executing", nullptr},
              {"waiting", member.waiting},
              {"heartbeat", member.heartbeat},
              {"recovered_vnodes", member.recoveries},
              {"coordinator", member.coordinator},
              {"port", member.port}};
    if (member.executing)
        json["executing"] = {{"domain", member.executing->domain},
                             {"vnode", member.executing->vnode},
                             {"serial", member.executing->serial}};
    return json;
}

Json json_of(const DomainView& domain) {
    Json json{{"name", domain.name}, {"kind", kind_name(domain.kind)}, {"vnodes", domain.vnodes}};
    if (domain.kind == DomainKind::space) return json;
    json["placement"] = domain.placement;
    json["phase"] = domain.progress.phase;
    json["step_min"] = domain.progress.step_min;
    json["step_mean"] = domain.progress.step_mean;
    json["steps_total"] = domain.progress.steps_total;
    json["checkpoints"] = domain.progress.checkpoints;
    json["long_wait"] = domain.progress.long_wait.empty() ? Json{} : Json(domain.progress.long_wait);
    return json;
}

// Text in shared memory may hold any bytes; JSON may not.
std::string written(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

Row row_of(const DomainView& domain) {
    if (domain.kind == DomainKind::space)
        return {domain.name, "space", std::to_string(domain.vnodes), "-", "-", "-", "-", "-"};
    const JobProgress& progress = domain.progress;
    return {domain.name,
            "domain",
            std::to_string(domain.vnodes),
            std::to_string(progress.phase),
            std::to_string(progress.step_min),
            fmt::format("{:.1f}", progress.step_mean),
            std::to_string(progress.steps_total),
            std::to_string(progress.checkpoints)};
}

}  // namespace

const char* outcome_name(Outcome outcome) noexcept {
    switch (outcome) {
        case Outcome::running: return "running";
        case Outcome::deciding: return "ending";
        case Outcome::completed: return "completed";
        case Outcome::failed: return "failed";
        case Outcome::interrupted: return "interrupted";
    }
    return "?";
}

const char* kind_name(DomainKind kind) noexcept { return kind == DomainKind::space ? "space" : "domain"; }

std::string agent_text(const JobView& job) {
    if (job.agent_pid == 0) return "none: " + mode_of(job);
    return fmt::format("process {}{}, started {} ({})", job.agent_pid, job.agent_alive ? "" : " (dead)",
                       time_text(job.agent_started, "%F %T", false), mode_of(job));
}

std::string member_counts(const JobView& job) {
    std::string text;
    for (const MemberState state : states)
        if (const std::size_t count = count_in(job, state); count != 0)
            text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, state_name(state));
    return text.empty() ? "none yet" : text;
}

const MemberView* coordinator_in(const JobView& job) {
    const auto found = std::find_if(job.members.begin(), job.members.end(),
                                    [](const MemberView& member) { return member.coordinator; });
    return found == job.members.end() ? nullptr : &*found;
}

std::vector<std::string> long_waits(const JobView& job) {
    std::vector<std::string> waits;
    for (const DomainView& domain : job.domains)
        if (!domain.progress.long_wait.empty())
            waits.push_back(fmt::format("{}: {}", domain.name, domain.progress.long_wait));
    return waits;
}

const char* state_name(MemberState state) noexcept {
    switch (state) {
        case MemberState::empty: return "empty";
        case MemberState::joining: return "joining";
        case MemberState::active: return "active";
        case MemberState::draining: return "draining";
        case MemberState::retired: return "retired";
        case MemberState::failed: return "failed";
    }
    return "?";
}

std::string table_text(const std::vector<Row>& rows) {
    struct Column {
        std::size_t width{0};
        bool numbers{true};
    };
    std::vector<Column> columns;
    for (std::size_t index = 0; index < rows.size(); ++index) {
        const Row& row = rows[index];
        columns.resize(std::max(columns.size(), row.size()));
        for (std::size_t at = 0; at < row.size(); ++at) {
            columns[at].width = std::max(columns[at].width, row[at].size());
            if (index != 0 && row[at] != "-")
                columns[at].numbers = columns[at].numbers && std::isdigit(static_cast<unsigned char>(row[at][0])) != 0;
        }
    }
    std::string text;
    for (const Row& row : rows) {
        std::string line;
        for (std::size_t at = 0; at < row.size(); ++at) {
            const std::string padding(columns[at].width - row[at].size(), ' ');
            line += at == 0 ? "" : "  ";
            line += at != 0 && columns[at].numbers ? padding + row[at] : row[at] + padding;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    return text;
}

std::vector<Row> domain_rows(const JobView& job) {
    std::vector<Row> rows{{"domain", "kind", "VNodes", "phase", "step min", "mean", "total", "checkpoints"}};
    for (const DomainView& domain : job.domains) rows.push_back(row_of(domain));
    return rows;
}

std::string status_text(const JobView& job) {
    const MemberView* coordinator = coordinator_in(job);
    std::string text = fmt::format(
        "job           {}\n"
        "agent         {}\n"
        "outcome       {}{}\n"
        "view          {}, coordinator {}\n"
        "members       {}\n"
        "recovered     {} VNodes\n",
        job.job_id, agent_text(job), outcome_name(job.outcome), job.outcome_text.empty() ? "" : ": " + job.outcome_text,
        job.view, coordinator == nullptr ? "none" : std::to_string(coordinator->slot), member_counts(job),
        job.recoveries);
    const std::vector<std::string> waits = long_waits(job);
    for (const std::string& wait : waits) text += fmt::format("longest wait  {}\n", wait);
    if (waits.empty()) text += fmt::format("longest wait  not over {:g} s\n", static_cast<double>(job.stall_ns) * 1e-9);
    if (job.domains.empty()) return text;
    return text + "\n" + table_text(domain_rows(job));
}

const char* route_name(RouteState state) noexcept {
    switch (state) {
        case RouteState::none: return "none";
        case RouteState::tcp: return "tcp";
        case RouteState::mpi: return "mpi";
    }
    return "?";
}

std::string status_json(const JobView& job) {
    const MemberView* coordinator = coordinator_in(job);
    Json json{{"job", job.job_id},
              {"agent", nullptr},
              {"mode", mode_of(job)},
              {"outcome", outcome_name(job.outcome)},
              {"outcome_text", job.outcome_text},
              {"view", job.view},
              {"coordinator", nullptr},
              {"recovered_vnodes", job.recoveries},
              {"members", Json::object()},
              {"domains", Json::array()}};
    if (job.agent_pid != 0)
        json["agent"] = {{"pid", job.agent_pid},
                         {"alive", job.agent_alive},
                         {"started", time_text(job.agent_started, "%FT%TZ", true)}};
    if (coordinator != nullptr) json["coordinator"] = coordinator->slot;
    for (const MemberState state : states) json["members"][state_name(state)] = count_in(job, state);
    for (const DomainView& domain : job.domains) json["domains"].push_back(json_of(domain));
    if (job.nodes > 1) json["routes"] = Json::array();
    for (const RouteView& route : job.routes)
        json["routes"].push_back({{"node", route.node},
                                  {"by", route_name(route.state)},
                                  {"reconnects", route.reconnects},
                                  {"mpi_frames", route.carried_frames},
                                  {"mpi_bytes", route.carried_bytes},
                                  {"withdrawn_frames", route.withdrawn_frames},
                                  {"kept_bytes", route.kept_bytes}});
    return written(json);
}

std::vector<Row> member_rows(const JobView& job) {
    std::vector<Row> rows{
        {"member", "pid", "state", "inc", "seniority", "VNodes", "steps", "heartbeat", "recovered", "executes"}};
    for (const MemberView& member : job.members) {
        const std::string name = member.port ? "port" : text_of(MemberName{job.node, member.slot});
        rows.push_back({fmt::format("{}{}", name, member.coordinator ? "*" : ""), std::to_string(member.pid),
                        state_name(member.state), std::to_string(member.incarnation), std::to_string(member.seniority),
                        std::to_string(member.vnodes), std::to_string(member.steps), std::to_string(member.heartbeat),
                        std::to_string(member.recoveries), doing(member)});
    }
    return rows;
}

std::string members_text(const JobView& job) { return table_text(member_rows(job)) + "* the coordinator\n"; }

std::string members_json(const JobView& job) {
    Json json{{"job", job.job_id}, {"members", Json::array()}};
    for (const MemberView& member : job.members) json["members"].push_back(json_of(member));
    return written(json);
}

std::vector<Row> vnode_rows(const DomainVNodes& shown, std::optional<std::uint32_t> node) {
    const bool space = shown.domain.kind == DomainKind::space;
    std::vector<Row> rows{{"VNode", "owner", "state", "version"}};
    if (!space) rows.front().insert(rows.front().end(), {"phase", "step", "serial", "waits"});
    for (const VNodeView& vnode : shown.vnodes) {
        if (!vnode.kept) continue;
        const bool owned = vnode.state != OwnerState::unassigned;
        Row row{std::to_string(vnode.vnode), owned ? text_of(MemberName{node, vnode.owner}) : "-",
                vnode.here ? owner_state_name(vnode.state) : "leaving", std::to_string(vnode.version)};
        if (!space)
            row.insert(row.end(), {std::to_string(vnode.phase), std::to_string(vnode.step),
                                   std::to_string(vnode.serial), vnode.wait.empty() ? "-" : vnode.wait});
        rows.push_back(std::move(row));
    }
    return rows;
}

std::string vnodes_text(const std::vector<DomainVNodes>& domains) {
    std::string text;
    for (const DomainVNodes& shown : domains)
        text += fmt::format("{}{} '{}'\n{}", text.empty() ? "" : "\n", kind_name(shown.domain.kind), shown.domain.name,
                            table_text(vnode_rows(shown, std::nullopt)));
    return text;
}

std::string vnodes_json(const std::string& job_id, const std::vector<DomainVNodes>& domains) {
    Json json{{"job", job_id}, {"domains", Json::array()}};
    for (const auto& [domain, vnodes] : domains) {
        Json list = Json::array();
        for (const VNodeView& vnode : vnodes) {
            if (!vnode.kept) continue;
            Json entry{{"vnode", vnode.vnode},
                       {"owner", nullptr},
                       {"state", owner_state_name(vnode.state)},
                       {"version", vnode.version}};
            if (vnode.state != OwnerState::unassigned) entry["owner"] = vnode.owner;
            if (domain.kind == DomainKind::domain) {
                entry["phase"] = vnode.phase;
                entry["step"] = vnode.step;
                entry["serial"] = vnode.serial;
                entry["wait"] = vnode.wait.empty() ? Json{} : Json(vnode.wait);
            }
            list.push_back(std::move(entry));
        }
        json["domains"].push_back(
            {{"name", domain.name}, {"kind", kind_name(domain.kind)}, {"vnodes", std::move(list)}});
    }
    return written(json);
}

}  // namespace phoenix::pflight
