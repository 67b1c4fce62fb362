#pragma once
/// The progress display: one line redrawn on a terminal, plain lines every few seconds elsewhere, or JSON lines.

#include "memory/arena.hpp"
#include "pflight/run_options.hpp"
#include "runtime/job_progress.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace phoenix::pflight {

/// What is shown; a value, so that the text can be tested.
struct ProgressSample {
    std::uint64_t time_ns{0};
    std::uint64_t vnode_steps{0};  ///< Executed by all members, repeated ones too.
    std::uint64_t recoveries{0};   ///< VNodes taken over.
    std::uint32_t members{0};      ///< Living.
    std::optional<JobProgress> job;
};

/// What shared memory says now.
[[nodiscard]] ProgressSample sample_progress(const ControlSegment& segment, const Arena& arena, std::uint64_t stall_ns,
                                             std::uint32_t living_members);

/// The nodes of a job as one: sums, the domain of the node that is furthest, steps over the VNodes of all.
[[nodiscard]] ProgressSample merged(const std::vector<ProgressSample>& nodes);

/// One line without its end: step, steps/s, members, recoveries, ETA.
[[nodiscard]] std::string progress_text(const ProgressSample& now, const ProgressSample& before);
[[nodiscard]] std::string progress_json(const ProgressSample& now, const ProgressSample& before);

/// Writes to stderr. Lines of others go through line(), so that they do not mix with the redrawn one.
class ProgressDisplay {
  public:
    ProgressDisplay(const RunOptions& options, ProgressSample first);
    ~ProgressDisplay();
    ProgressDisplay(const ProgressDisplay&) = delete;
    ProgressDisplay& operator=(const ProgressDisplay&) = delete;

    /// True if something is to be shown again.
    [[nodiscard]] bool due() const;
    void show(const ProgressSample& now);
    void line(const std::string& text);

  private:
    enum class Style : std::uint8_t { none, redrawn, plain, json };
    void clear();

    Style style_{Style::none};
    std::uint64_t period_ns_{0};
    bool line_open_{false};
    ProgressSample before_;
};

}  // namespace phoenix::pflight
