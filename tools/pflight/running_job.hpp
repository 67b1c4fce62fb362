#pragma once
/// A running job in the hands of a command: opened by the name given, watched until something has come about.

#include "control/observation.hpp"
#include "pflight/job_view.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix::pflight {

class RunningJob {
  public:
    /// @error invalid_argument  No name that a job can have.
    /// @error others            As observe_job.
    [[nodiscard]] static tl::expected<RunningJob, Failure> open(const std::string& job_id);

    [[nodiscard]] const ControlSegment& segment() const noexcept { return *job_.segment; }
    [[nodiscard]] const Arena& arena() const noexcept { return job_.arena; }
    [[nodiscard]] std::string id() const { return segment().job_id(); }
    [[nodiscard]] std::vector<MemberView> members() const { return read_members(segment(), arena()); }
    [[nodiscard]] bool has_living_agent() const noexcept;

    /// How the job ended, as a sentence; nothing while it runs.
    [[nodiscard]] std::optional<std::string> ending() const;

    /// Looks again and again until `done` says so. False if `timeout_ns` passed before that; 0: no limit.
    [[nodiscard]] static bool wait_until(const std::function<bool()>& done, std::uint64_t timeout_ns);

  private:
    explicit RunningJob(ObservedJob job) noexcept : job_(std::move(job)) {}
    ObservedJob job_;
};

/// Exit status and complaint for a job that cannot be opened.
[[nodiscard]] int cannot_open(const Failure& failure);

}  // namespace phoenix::pflight
