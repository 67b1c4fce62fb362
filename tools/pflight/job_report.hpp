#pragma once
/// A job's state as text for people (tables) and as JSON for programs. Pure.

#include "pflight/job_view.hpp"

#include <string>
#include <vector>

namespace phoenix::pflight {

/// A domain and its VNodes one by one.
struct DomainVNodes {
    DomainView domain;
    std::vector<VNodeView> vnodes;
};

/// "joining", "active", "draining", "retired", "failed".
[[nodiscard]] const char* state_name(MemberState state) noexcept;

/// Columns as wide as their widest entry; the heading is the first of `rows`. Numbers are right-aligned but for the
/// first column; lines have no blanks at their end.
[[nodiscard]] std::string table_text(const std::vector<std::vector<std::string>>& rows);

/// Rows for table_text(), with their heading; members are called as in the whole job.
[[nodiscard]] std::vector<std::vector<std::string>> member_rows(const JobView& job);
[[nodiscard]] std::vector<std::vector<std::string>> domain_rows(const JobView& job);
/// @param node  In a job of several: VNodes that are on other nodes are left out.
[[nodiscard]] std::vector<std::vector<std::string>> vnode_rows(const DomainVNodes& domain,
                                                               std::optional<std::uint32_t> node);
[[nodiscard]] const char* outcome_name(Outcome outcome) noexcept;
[[nodiscard]] const char* kind_name(DomainKind kind) noexcept;
/// "3 active, 1 failed"
[[nodiscard]] std::string member_counts(const JobView& job);
[[nodiscard]] const MemberView* coordinator_in(const JobView& job);
/// "process 77, started 2026-01-01 10:00:00 (local)"
[[nodiscard]] std::string agent_text(const JobView& job);
/// The waits that are longer than the job's limit; one for each domain at most.
[[nodiscard]] std::vector<std::string> long_waits(const JobView& job);

[[nodiscard]] std::string status_text(const JobView& job);
/// "mpi", "tcp" or "none".
[[nodiscard]] const char* route_name(RouteState state) noexcept;
[[nodiscard]] std::string status_json(const JobView& job);
[[nodiscard]] std::string members_text(const JobView& job);
[[nodiscard]] std::string members_json(const JobView& job);
[[nodiscard]] std::string vnodes_text(const std::vector<DomainVNodes>& domains);
[[nodiscard]] std::string vnodes_json(const std::string& job_id, const std::vector<DomainVNodes>& domains);

}  // namespace phoenix::pflight
