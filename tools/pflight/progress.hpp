#pragma once
/// The progress display: one line redrawn on a terminal, plain lines every few seconds elsewhere, or JSON lines.

#include "memory/arena.hpp"
#include "pflight/run_options.hpp"
#include "runtime/job_progress.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace phoenix::pflight {

/// What is shown; a value, so that the text can be tested.
struct ProgressSample {
    std::uint64_t time_ns{0};
    std::uint64_t vnode_steps{0};  ///< Executed by all members, repeated ones too.
    std::uint64_t recoveries{0};   ///< VNodes taken over.
    std::uint32_t members{0};      ///< Living.
    std::optional<JobProgress> job;
};

/// One line without its end: step, steps/s, members, recoveries, ETA.
[[nodiscard]] std::string progress_text(const ProgressSample& now, const ProgressSample& before);
[[nodiscard]] std::string progress_json(const ProgressSample& now, const ProgressSample& before);

/// Writes to stderr. Lines of others go through line(), so that they do not mix with the redrawn one.
class ProgressDisplay {
  public:
    ProgressDisplay(const RunOptions& options, const ControlSegment& segment, const Arena& arena);
    ~ProgressDisplay();
    ProgressDisplay(const ProgressDisplay&) = delete;
    ProgressDisplay& operator=(const ProgressDisplay&) = delete;

    /// Shows the state if it is time to.
    void update(std::uint32_t living_members);
    void line(const std::string& text);

  private:
    enum class Style : std::uint8_t { none, redrawn, plain, json };
    void clear();

    const ControlSegment* segment_;
    const Arena* arena_;
    std::uint64_t stall_ns_;  ///< Longer waits are shown.
    Style style_{Style::none};
    std::uint64_t period_ns_{0};
    bool line_open_{false};
    std::optional<ProgressSample> before_;
};

}  // namespace phoenix::pflight
