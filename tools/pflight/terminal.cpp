#include "pflight/terminal.hpp"

#include "base/clock.hpp"

namespace phoenix::pflight {

Terminal::Terminal(const RunOptions& options, const ControlSegment& segment, const Arena& arena)
    : options_(options),
      segment_(segment),
      arena_(arena),
      display_(options, sample(options.members)),
      timeline_(boot_time_ns(), [this](const std::string& line) {
          if (options_.timeline) display_.line(line);
      }) {}

void Terminal::process_started(pid_t pid, ProcessPurpose purpose) {
    if (purpose == ProcessPurpose::joiner) timeline_.grown(boot_time_ns(), pid);
    if (purpose == ProcessPurpose::replacement) timeline_.respawned(boot_time_ns(), pid);
}

void Terminal::look(std::uint32_t living_members) {
    if (display_.due()) display_.show(sample(living_members));
}

void Terminal::members_ended(const Verdict& verdict) {
    const std::string summary = timeline_.summary();
    if (verdict.exit_status == 0 && !summary.empty() && !options_.quiet) say(summary + ".");
    if (!verdict.sentence.empty()) say(verdict.sentence);
}

}  // namespace phoenix::pflight
