#include "plate/decomposition.hpp"

#include <limits>

namespace plate {

namespace {

// Start of part `index` of `count` parts of [0, size).
std::uint64_t part_begin(std::uint64_t size, std::uint64_t index, std::uint64_t count) noexcept {
    // Without the product size * index, which could overflow: the first size % count parts are one longer.
    const std::uint64_t longer = size % count;
    return size / count * index + (index < longer ? index : longer);
}

// What one step of a block costs beside its points, in nanoseconds. Only the order of the results matters: a message
// has a price of its own, a strided edge is copied element by element, and each row of the sweep has a start-up time.
double overhead(Size plate, std::uint64_t block_rows, std::uint64_t block_columns) noexcept {
    constexpr double message = 300;
    constexpr double contiguous_element = 1;
    constexpr double strided_element = 4;
    constexpr double row_start = 6;
    const double rows = static_cast<double>(plate.rows) / static_cast<double>(block_rows);
    const double columns = static_cast<double>(plate.columns) / static_cast<double>(block_columns);
    double cost = rows * row_start;
    if (block_rows > 1) cost += 2 * (message + columns * contiguous_element);
    if (block_columns > 1) cost += 2 * (message + rows * strided_element);
    return cost;
}

}  // namespace

Block Decomposition::block(std::uint32_t vnode) const noexcept {
    const std::uint64_t i = vnode / block_columns_;
    const std::uint64_t j = vnode % block_columns_;
    Block block;
    block.row = part_begin(plate_.rows, i, block_rows_);
    block.column = part_begin(plate_.columns, j, block_columns_);
    block.rows = part_begin(plate_.rows, i + 1, block_rows_) - block.row;
    block.columns = part_begin(plate_.columns, j + 1, block_columns_) - block.column;
    return block;
}

std::optional<std::uint32_t> Decomposition::neighbour(std::uint32_t vnode, unsigned axis,
                                                      phoenix::Side side) const noexcept {
    const std::uint32_t place = axis == 0 ? vnode / block_columns_ : vnode % block_columns_;
    const std::uint32_t places = axis == 0 ? block_rows_ : block_columns_;
    const std::uint32_t stride = axis == 0 ? block_columns_ : 1;
    if (side == phoenix::Side::low) return place == 0 ? std::nullopt : std::optional{vnode - stride};
    return place + 1 == places ? std::nullopt : std::optional{vnode + stride};
}

std::optional<Decomposition> decompose(Size plate, std::uint32_t vnodes) {
    std::optional<Decomposition> best;
    double lowest = std::numeric_limits<double>::infinity();
    const auto consider = [&](std::uint32_t block_rows, std::uint32_t block_columns) {
        if (block_rows > plate.rows || block_columns > plate.columns) return;
        const double cost = overhead(plate, block_rows, block_columns);
        if (cost >= lowest) return;
        lowest = cost;
        best.emplace(plate, block_rows, block_columns);
    };
    for (std::uint32_t divisor = 1; std::uint64_t{divisor} * divisor <= vnodes; ++divisor) {
        if (vnodes % divisor != 0) continue;
        consider(divisor, vnodes / divisor);
        consider(vnodes / divisor, divisor);
    }
    return best;
}

std::uint32_t nearest_vnodes(Size plate, std::uint32_t vnodes) {
    const std::uint64_t points = plate.rows * plate.columns;
    std::uint32_t candidate = points < vnodes ? static_cast<std::uint32_t>(points) : vnodes;
    while (candidate > 1 && !decompose(plate, candidate)) --candidate;
    return candidate;
}

}  // namespace plate
