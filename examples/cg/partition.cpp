#include "cg/partition.hpp"

#include <algorithm>
#include <utility>

namespace cg {

std::vector<std::uint64_t> divide_rows(const SparseRows& matrix, std::uint32_t vnodes) {
    const std::uint64_t rows = matrix.rows();
    const std::uint64_t nonzeros = matrix.row_begin.back();
    std::vector<std::uint64_t> boundaries(std::size_t{vnodes} + 1, 0);
    for (std::uint32_t v = 1; v < vnodes; ++v) {
        // Without the product nonzeros * v, which could overflow.
        const std::uint64_t target = nonzeros / vnodes * v + nonzeros % vnodes * v / vnodes;
        const auto at = std::ranges::lower_bound(matrix.row_begin, target);
        const auto wanted = static_cast<std::uint64_t>(at - matrix.row_begin.begin());
        // At least one row for this VNode's predecessor and for each of those that follow.
        boundaries[v] = std::clamp(wanted, boundaries[v - 1] + 1, rows - (vnodes - v));
    }
    boundaries[vnodes] = rows;
    return boundaries;
}

LocalRows local_rows(const SparseRows& matrix, std::span<const std::uint64_t> boundaries, std::uint32_t vnode) {
    const std::uint64_t first = boundaries[vnode];
    const std::uint64_t end = boundaries[vnode + 1];
    const auto is_own = [&](std::uint64_t row) { return row >= first && row < end; };
    const auto owner_of = [&](std::uint64_t row) {
        return static_cast<std::uint32_t>(std::ranges::upper_bound(boundaries, row) - boundaries.begin() - 1);
    };

    std::vector<std::uint32_t> needed;                           // foreign columns
    std::vector<std::pair<std::uint32_t, std::uint32_t>> given;  // (VNode, own row)
    for (std::uint64_t row = first; row < end; ++row)
        for (std::uint64_t i = matrix.row_begin[row]; i < matrix.row_begin[row + 1]; ++i) {
            const std::uint32_t column = matrix.columns[i];
            if (is_own(column)) continue;
            needed.push_back(column);
            given.emplace_back(owner_of(column), static_cast<std::uint32_t>(row - first));
        }
    std::ranges::sort(needed);
    needed.erase(std::unique(needed.begin(), needed.end()), needed.end());
    std::ranges::sort(given);
    given.erase(std::unique(given.begin(), given.end()), given.end());

    LocalRows local;
    const auto own_rows = static_cast<std::uint32_t>(end - first);
    local.own_begin = static_cast<std::uint32_t>(std::ranges::lower_bound(needed, first) - needed.begin());
    local.extended = static_cast<std::uint32_t>(needed.size()) + own_rows;
    const auto place_of = [&](std::uint32_t column) {
        if (is_own(column)) return local.own_begin + static_cast<std::uint32_t>(column - first);
        const auto place = static_cast<std::uint32_t>(std::ranges::lower_bound(needed, column) - needed.begin());
        return column < first ? place : place + own_rows;
    };

    for (const auto& [other, row] : given) {
        if (local.peers.empty() || local.peers.back().vnode != other)
            local.peers.push_back({other, static_cast<std::uint32_t>(local.gives.size()), 0, 0, 0});
        local.gives.push_back(row);
        ++local.peers.back().give_count;
    }
    for (Peer& peer : local.peers) {
        const auto begin = std::ranges::lower_bound(needed, boundaries[peer.vnode]);
        const auto behind = std::ranges::lower_bound(needed, boundaries[peer.vnode + 1]);
        peer.need_begin = place_of(*begin);
        peer.need_count = static_cast<std::uint32_t>(behind - begin);
    }

    local.row_begin.push_back(0);
    for (std::uint64_t row = first; row < end; ++row) {
        for (std::uint64_t i = matrix.row_begin[row]; i < matrix.row_begin[row + 1]; ++i) {
            local.columns.push_back(place_of(matrix.columns[i]));
            local.values.push_back(matrix.values[i]);
        }
        local.row_begin.push_back(static_cast<std::uint32_t>(local.columns.size()));
    }
    return local;
}

void multiply(std::span<const std::uint32_t> row_begin, std::span<const std::uint32_t> columns,
              std::span<const double> values, std::span<const double> extended, std::span<double> result) noexcept {
    for (std::size_t row = 0; row < result.size(); ++row) {
        double sum = 0;
        for (std::uint32_t i = row_begin[row]; i < row_begin[row + 1]; ++i) sum += values[i] * extended[columns[i]];
        result[row] = sum;
    }
}

}  // namespace cg
