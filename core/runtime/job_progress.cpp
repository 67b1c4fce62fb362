#include "runtime/job_progress.hpp"

#include "base/clock.hpp"
#include "runtime/deadlock.hpp"
#include "runtime/domain_layout.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace phoenix {

namespace {

constexpr std::uint32_t looked_at_max = 4096;

}  // namespace

JobProgress read_domain_progress(const Arena& arena, const DomainHeader& domain, std::uint64_t stall_ns) {
    JobProgress progress;
    progress.domain = domain.name.data();
    progress.phase = domain.phase.load(std::memory_order_acquire);
    progress.steps_total = domain.phase_steps.load(std::memory_order_relaxed);  // shown only
    progress.vnodes = domain.vnodes;
    progress.checkpoints = domain.checkpoints.load(std::memory_order_relaxed);
    progress.step_min = ~std::uint64_t{0};
    const std::uint64_t now = boot_time_ns();
    std::uint64_t longest = stall_ns;
    const std::uint32_t stride = std::max(1U, domain.vnodes / looked_at_max);
    const auto is_here = [&](std::uint32_t v) {
        return domain.locations_offset == 0 ||
               LocationWord{arena.object<AtomicLocationWord>(domain.locations_offset + std::uint64_t{v} * 8).load()}
                   .here();
    };
    for (std::uint32_t v = 0; v < domain.vnodes; v += stride) {
        if (!is_here(v)) continue;
        ++progress.vnodes_here;
        auto& record = arena.object<VNodeRecord>(domain.records_offset + std::uint64_t{v} * domain.record_stride);
        const CommitSlot slot = commit_of(record, domain);
        const std::uint64_t step = slot.phase == progress.phase ? slot.step : 0;
        progress.step_min = std::min(progress.step_min, step);
        progress.step_mean += static_cast<double>(step);
        const std::uint64_t since = record.wait_since.load(std::memory_order_relaxed);
        if (record.wait.load(std::memory_order_acquire) == 0 || since + longest > now) continue;
        longest = now - since;
        progress.long_wait = fmt::format("{} since {} s", describe_wait(record, v), longest / 1'000'000'000);
    }
    progress.step_mean /= std::max(1U, progress.vnodes_here);
    if (progress.vnodes_here == 0) progress.step_min = 0;
    return progress;
}

std::optional<JobProgress> read_job_progress(const ControlSegment& segment, const Arena& arena,
                                             std::uint64_t stall_ns) {
    const DomainHeader* domain = nullptr;
    const std::uint32_t count =
        std::min(segment.header().domain_count.load(std::memory_order_acquire), domain_count_max);
    for (std::uint32_t index = 0; index < count; ++index) {
        const std::uint64_t offset = segment.header().domains[index].load(std::memory_order_acquire);
        if (offset == 0) continue;
        const auto& candidate = arena.object<DomainHeader>(offset);
        if (candidate.kind == static_cast<std::uint32_t>(DomainKind::domain) &&
            candidate.phase.load(std::memory_order_relaxed) != 0)
            domain = &candidate;
    }
    if (domain == nullptr) return std::nullopt;
    return read_domain_progress(arena, *domain, stall_ns);
}

}  // namespace phoenix
