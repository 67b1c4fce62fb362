#pragma once
/// People at a terminal, or a file, as the audience of a job on one node: progress, timeline, what went wrong.

#include "memory/arena.hpp"
#include "pflight/audience.hpp"
#include "pflight/progress.hpp"
#include "pflight/timeline.hpp"

namespace phoenix::pflight {

class Terminal : public Audience {
  public:
    Terminal(const RunOptions& options, const ControlSegment& segment, const Arena& arena);

    void happened(const Event& event) override { timeline_.take(event, segment_); }
    void process_started(pid_t pid, ProcessPurpose purpose) override;
    void process_ended(std::uint32_t slot, std::uint64_t time_ns, const std::string& how) override {
        timeline_.process_ended(slot, time_ns, how);
    }
    void say(const std::string& sentence) override { display_.line("pflight: " + sentence); }
    void look(std::uint32_t living_members) override;
    void members_ended(const Verdict& verdict) override;
    [[nodiscard]] std::optional<std::uint64_t> last_checkpoint() const override { return timeline_.last_checkpoint(); }

  private:
    [[nodiscard]] ProgressSample sample(std::uint32_t living_members) const {
        return sample_progress(segment_, arena_, std::uint64_t{options_.settings.stall_report_ms} * 1'000'000,
                               living_members);
    }

    const RunOptions& options_;
    const ControlSegment& segment_;
    const Arena& arena_;
    ProgressDisplay display_;
    Timeline timeline_;
};

}  // namespace phoenix::pflight
