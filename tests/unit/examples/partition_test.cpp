#include "cg/partition.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <map>
#include <random>

namespace cg {
namespace {

/// A random symmetric pattern; values are small whole numbers, so that sums are exact.
SparseRows random_matrix(std::uint32_t rows, unsigned links_per_row, std::uint64_t seed) {
    std::mt19937_64 bits{seed};
    std::map<std::pair<std::uint32_t, std::uint32_t>, double> entries;
    for (std::uint32_t i = 0; i < rows; ++i) {
        entries[{i, i}] = 10;
        for (unsigned k = 0; k < links_per_row; ++k) {
            const auto j = static_cast<std::uint32_t>(bits() % rows);
            if (j != i) entries[{i, j}] = entries[{j, i}] = static_cast<double>(1 + (i + j) % 7);
        }
    }
    SparseRows matrix;
    matrix.row_begin.assign(rows + 1, 0);
    for (const auto& [place, value] : entries) {
        ++matrix.row_begin[place.first + 1];
        matrix.columns.push_back(place.second);
        matrix.values.push_back(value);
    }
    for (std::uint32_t i = 0; i < rows; ++i) matrix.row_begin[i + 1] += matrix.row_begin[i];
    return matrix;
}

TEST(Partition, GivesEveryVNodeARow) {
    const SparseRows matrix = random_matrix(50, 3, 1);
    for (std::uint32_t vnodes = 1; vnodes <= 50; ++vnodes) {
        const auto boundaries = divide_rows(matrix, vnodes);
        ASSERT_EQ(boundaries.size(), vnodes + 1U);
        EXPECT_EQ(boundaries.front(), 0U);
        EXPECT_EQ(boundaries.back(), 50U);
        for (std::uint32_t v = 0; v < vnodes; ++v) EXPECT_LT(boundaries[v], boundaries[v + 1]);
    }
}

TEST(Partition, GivesEveryVNodeAnEmptyRowIfNeedBe) {
    SparseRows matrix;  // all nonzeros in the last row
    matrix.row_begin = {0, 0, 0, 0, 9};
    EXPECT_THAT(divide_rows(matrix, 4), testing::ElementsAre(0, 1, 2, 3, 4));
}

TEST(Partition, BalancesNonzeros) {
    const SparseRows matrix = random_matrix(5000, 5, 2);
    const auto boundaries = divide_rows(matrix, 16);
    const auto fair = static_cast<double>(matrix.row_begin.back()) / 16;
    for (std::uint32_t v = 0; v < 16; ++v) {
        const auto nonzeros =
            static_cast<double>(matrix.row_begin[boundaries[v + 1]] - matrix.row_begin[boundaries[v]]);
        EXPECT_NEAR(nonzeros, fair, 0.05 * fair);
    }
}

/// The product as the VNodes compute it, entries exchanged by their lists of peers.
std::vector<double> product_in_parts(const SparseRows& matrix, std::uint32_t vnodes, const std::vector<double>& x) {
    const auto boundaries = divide_rows(matrix, vnodes);
    std::vector<LocalRows> parts;
    for (std::uint32_t v = 0; v < vnodes; ++v) parts.push_back(local_rows(matrix, boundaries, v));
    std::vector<double> result;
    for (std::uint32_t v = 0; v < vnodes; ++v) {
        const LocalRows& part = parts[v];
        std::vector<double> extended(part.extended, -1e9);
        for (std::uint64_t row = boundaries[v]; row < boundaries[v + 1]; ++row)
            extended[part.own_begin + row - boundaries[v]] = x[row];
        for (const Peer& peer : part.peers) {
            const LocalRows& other = parts[peer.vnode];
            const auto back = std::ranges::find(other.peers, v, &Peer::vnode);
            EXPECT_NE(back, other.peers.end());
            EXPECT_EQ(back->give_count, peer.need_count);
            for (std::uint32_t i = 0; i < peer.need_count; ++i)
                extended[peer.need_begin + i] = x[boundaries[peer.vnode] + other.gives[back->give_begin + i]];
        }
        std::vector<double> own(boundaries[v + 1] - boundaries[v]);
        multiply(part.row_begin, part.columns, part.values, extended, own);
        result.insert(result.end(), own.begin(), own.end());
    }
    return result;
}

TEST(Partition, ExchangesExactlyWhatProductsNeed) {
    std::mt19937_64 bits{3};
    const SparseRows matrix = random_matrix(200, 4, 4);
    std::vector<double> x(200);
    for (double& value : x) value = static_cast<double>(bits() >> 11) * 0x1.0p-53;
    std::vector<double> whole(200);
    std::vector<std::uint32_t> row_begin(matrix.row_begin.begin(), matrix.row_begin.end());
    multiply(row_begin, matrix.columns, matrix.values, x, whole);
    for (const std::uint32_t vnodes : {1U, 2U, 7U, 64U, 200U})  // the same bits: rows are summed in one order
        EXPECT_EQ(product_in_parts(matrix, vnodes, x), whole) << vnodes << " VNodes";
}

TEST(Partition, NeedsNothingTwice) {
    const SparseRows matrix = random_matrix(100, 6, 5);
    const auto boundaries = divide_rows(matrix, 5);
    for (std::uint32_t v = 0; v < 5; ++v) {
        const LocalRows part = local_rows(matrix, boundaries, v);
        std::uint64_t needed = 0;
        for (const Peer& peer : part.peers) {
            needed += peer.need_count;
            const auto first = part.gives.begin() + peer.give_begin;
            EXPECT_TRUE(std::is_sorted(first, first + peer.give_count, std::less_equal<>{}));  // so without repetition
        }
        EXPECT_EQ(part.extended, needed + boundaries[v + 1] - boundaries[v]);
    }
}

}  // namespace
}  // namespace cg
