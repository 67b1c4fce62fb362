#include "sim/records.hpp"

#include <algorithm>

namespace phoenix::sim {

void ConsumedSet::insert(std::uint32_t sequence) noexcept {
    cursor_ = std::max(cursor_, sequence + 1);
    above_ |= std::uint64_t{1} << (sequence - lowest_);
    while ((above_ & 1U) != 0) {
        above_ >>= 1U;
        ++lowest_;
    }
}

}  // namespace phoenix::sim
