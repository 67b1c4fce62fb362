#include "membership/placement.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <numeric>

namespace phoenix {

std::vector<std::uint64_t> quotas_for(std::uint64_t orphan_count, std::span<const Adopter> adopters) {
    std::vector<std::uint64_t> quotas(adopters.size(), 0);
    std::vector<std::size_t> by_load(adopters.size());
    std::iota(by_load.begin(), by_load.end(), std::size_t{0});
    std::stable_sort(by_load.begin(), by_load.end(),
                     [&](std::size_t a, std::size_t b) { return adopters[a].load < adopters[b].load; });
    // Water filling: raise the `filled` least loaded to the level of the next one while the orphans suffice.
    std::uint64_t left = orphan_count;
    for (std::size_t filled = 1; filled <= by_load.size() && left > 0; ++filled) {
        const std::uint64_t level = adopters[by_load[filled - 1]].load + quotas[by_load[filled - 1]];
        const bool last = filled == by_load.size();
        const std::uint64_t room = last ? left : (adopters[by_load[filled]].load - level) * filled;
        const std::uint64_t poured = std::min(left, room);
        // All `filled` stand at the same level; ties and remainders go to those that come first in `adopters`.
        std::vector<std::size_t> lowest(by_load.begin(), by_load.begin() + static_cast<std::ptrdiff_t>(filled));
        std::sort(lowest.begin(), lowest.end());
        for (std::size_t i = 0; i < filled; ++i) {
            quotas[lowest[i]] += poured / filled + (i < poured % filled ? 1 : 0);
        }
        left -= poured;
    }
    return quotas;
}

RunPlacement::RunPlacement(std::uint64_t orphan_count, std::span<const Adopter> adopters)
    : adopters_(adopters.begin(), adopters.end()), left_(quotas_for(orphan_count, adopters)) {}

MemberSlot RunPlacement::next() {
    while (at_ < left_.size() && left_[at_] == 0) {
        ++at_;
    }
    PHOENIX_CHECK(at_ < left_.size());
    --left_[at_];
    return adopters_[at_].slot;
}

}  // namespace phoenix
