#include "pflight/progress.hpp"

#include "base/clock.hpp"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace phoenix::pflight {

namespace {

constexpr std::uint64_t redraw_period_ns = 200'000'000;
constexpr std::uint64_t plain_period_ns = 5'000'000'000;

double seconds_between(const ProgressSample& before, const ProgressSample& now) {
    return now.time_ns > before.time_ns ? static_cast<double>(now.time_ns - before.time_ns) * 1e-9 : 0.0;
}

double rate(std::uint64_t before, std::uint64_t now, double seconds) {
    return seconds > 0 && now > before ? static_cast<double>(now - before) / seconds : 0.0;
}

double mean_step(const ProgressSample& sample) { return static_cast<double>(sample.job->step_mean); }

double step_rate(const ProgressSample& now, const ProgressSample& before) {
    const bool comparable =
        now.job && before.job && now.job->domain == before.job->domain && now.job->phase == before.job->phase;
    const double seconds = seconds_between(before, now);
    return comparable && seconds > 0 ? std::max(0.0, mean_step(now) - mean_step(before)) / seconds : 0.0;
}

std::string time_text(double seconds) {
    const auto whole = static_cast<long>(seconds + 0.5);
    if (whole < 60) return fmt::format("{} s", whole);
    if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

ProgressSample sample_progress(const ControlSegment& segment, const Arena& arena, std::uint64_t stall_ns,
                               std::uint32_t living_members) {
    ProgressSample now;
    now.time_ns = boot_time_ns();
    now.members = living_members;
    now.vnode_steps = segment.header().past_steps.load(std::memory_order_relaxed);
    now.recoveries = segment.header().past_recoveries.load(std::memory_order_relaxed);
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberRecord& record = segment.member(slot);
        // Counters for people to read: nothing depends on their order.
        now.vnode_steps += record.steps.load(std::memory_order_relaxed);
        now.recoveries += record.recoveries.load(std::memory_order_relaxed);
    }
    now.job = read_job_progress(segment, arena, stall_ns);
    return now;
}

ProgressSample merged(const std::vector<ProgressSample>& nodes) {
    ProgressSample all;
    double weight = 0;
    double sum = 0;
    for (const ProgressSample& node : nodes) {
        all.time_ns = std::max(all.time_ns, node.time_ns);
        all.vnode_steps += node.vnode_steps;
        all.recoveries += node.recoveries;
        all.members += node.members;
        const bool further = node.job && (!all.job || node.job->phase > all.job->phase);
        if (further) all.job = node.job;
    }
    if (!all.job) return all;
    all.job->step_min = ~std::uint64_t{0};
    all.job->long_wait.clear();
    for (const ProgressSample& node : nodes) {
        if (!node.job || node.job->domain != all.job->domain || node.job->vnodes_here == 0) continue;
        const bool same_phase = node.job->phase == all.job->phase;
        weight += node.job->vnodes_here;
        sum += same_phase ? node.job->step_mean * node.job->vnodes_here : 0;
        all.job->step_min = std::min(all.job->step_min, same_phase ? node.job->step_min : 0);
        all.job->checkpoints = std::max(all.job->checkpoints, node.job->checkpoints);
        if (all.job->long_wait.empty()) all.job->long_wait = node.job->long_wait;
    }
    all.job->step_mean = weight > 0 ? sum / weight : 0;
    if (weight == 0) all.job->step_min = 0;
    return all;
}

std::string progress_text(const ProgressSample& now, const ProgressSample& before) {
    std::string text;
    double left = -1;
    if (now.job) {
        const double steps_per_second = step_rate(now, before);
        text = fmt::format("{}: step {:.0f}", now.job->domain, mean_step(now));
        if (now.job->steps_total > 0) {
            text += fmt::format("/{}", now.job->steps_total);
            const auto total = static_cast<double>(now.job->steps_total);
            if (steps_per_second > 0) left = std::max(0.0, total - mean_step(now)) / steps_per_second;
        }
        text += fmt::format("  {:.4g} steps/s", steps_per_second);
    } else {
        text = fmt::format("{} VNode steps  {:.4g}/s", now.vnode_steps,
                           rate(before.vnode_steps, now.vnode_steps, seconds_between(before, now)));
    }
    text += fmt::format("  {} {}", now.members, now.members == 1 ? "member" : "members");
    if (now.recoveries > 0) text += fmt::format("  {} VNodes recovered", now.recoveries);
    if (left >= 0) text += fmt::format("  ETA {}", time_text(left));
    if (now.job && !now.job->long_wait.empty()) text += fmt::format("  [{}]", now.job->long_wait);
    return text;
}

std::string progress_json(const ProgressSample& now, const ProgressSample& before) {
    nlohmann::json json{{"time_ns", now.time_ns},
                        {"vnode_steps", now.vnode_steps},
                        {"members", now.members},
                        {"recovered_vnodes", now.recoveries},
                        {"steps_per_second", step_rate(now, before)}};
    if (now.job) {
        json["domain"] = now.job->domain;
        json["phase"] = now.job->phase;
        json["step_min"] = now.job->step_min;
        json["step_mean"] = now.job->step_mean;
        json["steps_total"] = now.job->steps_total;
        if (!now.job->long_wait.empty()) json["long_wait"] = now.job->long_wait;
    }
    return json.dump();
}

ProgressDisplay::ProgressDisplay(const RunOptions& options, ProgressSample first) : before_(std::move(first)) {
    const bool terminal = isatty(STDERR_FILENO) == 1;
    if (options.progress == ProgressMode::json_lines)
        style_ = Style::json;
    else if (options.quiet || options.progress == ProgressMode::never)
        style_ = Style::none;
    else
        style_ = terminal ? Style::redrawn : Style::plain;
    period_ns_ = style_ == Style::redrawn ? redraw_period_ns
                 : style_ == Style::json  ? redraw_period_ns * 5
                                          : plain_period_ns;
    // Asked for explicitly, it shows the state from the start and not only in long runs.
    if (options.progress == ProgressMode::always && style_ == Style::plain) period_ns_ = redraw_period_ns * 5;
}

ProgressDisplay::~ProgressDisplay() { clear(); }

void ProgressDisplay::clear() {
    if (!line_open_) return;
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
    line_open_ = false;
}

void ProgressDisplay::line(const std::string& text) {
    clear();
    // Not fmt::print, which throws when nobody reads any more: the job goes on.
    std::fputs((text + "\n").c_str(), stderr);
    std::fflush(stderr);
}

bool ProgressDisplay::due() const { return style_ != Style::none && boot_time_ns() >= before_.time_ns + period_ns_; }

void ProgressDisplay::show(const ProgressSample& now) {
    switch (style_) {
        case Style::none: break;
        case Style::json: line(progress_json(now, before_)); break;
        case Style::plain: line("pflight: " + progress_text(now, before_)); break;
        case Style::redrawn:
            std::fputs(("\r\033[K" + progress_text(now, before_)).c_str(), stderr);
            std::fflush(stderr);
            line_open_ = true;
            break;
    }
    before_ = now;
}

}  // namespace phoenix::pflight
