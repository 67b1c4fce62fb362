#include "plate/relax.hpp"

#include <algorithm>
#include <cmath>

namespace plate {

namespace {

inline double renewed(const double* __restrict now, std::ptrdiff_t stride, std::ptrdiff_t j) noexcept {
    return 0.25 * ((now[j - stride] + now[j + stride]) + (now[j - 1] + now[j + 1]));
}

}  // namespace

void relax(const Sweep& sweep) noexcept {
    const auto columns = static_cast<std::ptrdiff_t>(sweep.columns);
    for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(sweep.rows); ++i) {
        const double* __restrict now = sweep.now + i * sweep.now_stride;
        double* __restrict next = sweep.next + i * sweep.next_stride;
        for (std::ptrdiff_t j = 0; j < columns; ++j) next[j] = renewed(now, sweep.now_stride, j);
    }
}

double relax_and_measure(const Sweep& sweep) noexcept {
    // As many independent maxima as make the compiler use vector registers: it may not reorder one maximum by itself.
    constexpr std::ptrdiff_t lanes = 8;
    double largest[lanes] = {};
    const auto columns = static_cast<std::ptrdiff_t>(sweep.columns);
    const std::ptrdiff_t whole = columns - columns % lanes;
    for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(sweep.rows); ++i) {
        const double* __restrict now = sweep.now + i * sweep.now_stride;
        double* __restrict next = sweep.next + i * sweep.next_stride;
        const auto renew = [&](std::ptrdiff_t j, std::ptrdiff_t lane) {
            const double value = renewed(now, sweep.now_stride, j);
            const double change = std::fabs(value - now[j]);
            next[j] = value;
            largest[lane] = change > largest[lane] ? change : largest[lane];
        };
        for (std::ptrdiff_t j = 0; j < whole; j += lanes)
            for (std::ptrdiff_t lane = 0; lane < lanes; ++lane) renew(j + lane, lane);
        for (std::ptrdiff_t j = whole; j < columns; ++j) renew(j, j - whole);
    }
    return *std::max_element(largest, largest + lanes);
}

}  // namespace plate
