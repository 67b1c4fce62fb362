#include "pflight/selftest/traffic.hpp"

#include "control/fault_plan.hpp"

#include <numeric>

namespace phoenix::pflight::selftest {

Traffic::Map Traffic::map_of(std::uint64_t step, std::uint32_t tag) const noexcept {
    const std::uint64_t draw = random_value(seed_, step * tag_count + tag);
    std::uint64_t factor = 1 + (draw >> 32U) % vnodes_;
    while (std::gcd(factor, std::uint64_t{vnodes_}) != 1) ++factor;
    return {factor, draw % vnodes_};
}

std::uint32_t Traffic::destination_of(std::uint64_t step, std::uint32_t tag, std::uint32_t source) const noexcept {
    const Map map = map_of(step, tag);
    return static_cast<std::uint32_t>((map.factor * source + map.shift) % vnodes_);
}

std::uint32_t Traffic::source_of(std::uint64_t step, std::uint32_t tag, std::uint32_t destination) const noexcept {
    const Map map = map_of(step, tag);
    // V is small, so looking for it costs less than an inverse would to read.
    for (std::uint32_t source = 0; source < vnodes_; ++source)
        if ((map.factor * source + map.shift) % vnodes_ == destination) return source;
    return destination;
}

std::uint64_t Traffic::steps_for(std::uint64_t messages) const noexcept {
    const std::uint64_t per_step = std::uint64_t{vnodes_} * tag_count * burst_size;
    return messages / per_step + (messages % per_step != 0 ? 1 : 0);
}

}  // namespace phoenix::pflight::selftest
