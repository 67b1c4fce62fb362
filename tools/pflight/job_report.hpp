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

[[nodiscard]] std::string status_text(const JobView& job);
[[nodiscard]] std::string status_json(const JobView& job);
[[nodiscard]] std::string members_text(const JobView& job);
[[nodiscard]] std::string members_json(const JobView& job);
[[nodiscard]] std::string vnodes_text(const std::vector<DomainVNodes>& domains);
[[nodiscard]] std::string vnodes_json(const std::string& job_id, const std::vector<DomainVNodes>& domains);

}  // namespace phoenix::pflight
