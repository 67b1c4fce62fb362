#include "plate/decomposition.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace plate {
namespace {

void expect_covers_exactly(Size plate, const Decomposition& grid) {
    std::vector<int> covered(plate.rows * plate.columns, 0);
    for (std::uint32_t v = 0; v < grid.vnodes(); ++v) {
        const Block block = grid.block(v);
        ASSERT_GE(block.rows, 1U);
        ASSERT_GE(block.columns, 1U);
        for (std::uint64_t i = block.row; i < block.row + block.rows; ++i)
            for (std::uint64_t j = block.column; j < block.column + block.columns; ++j)
                ++covered[i * plate.columns + j];
    }
    for (const int times : covered) ASSERT_EQ(times, 1);
}

TEST(Decomposition, CoversEveryPointExactlyOnce) {
    for (const Size plate : {Size{100, 100}, Size{1000, 3}, Size{31, 47}, Size{1001, 1}})
        for (const std::uint32_t vnodes : {1U, 2U, 7U, 12U, 64U, 1000U}) {
            const auto grid = decompose(plate, vnodes);
            if (!grid) continue;
            ASSERT_EQ(grid->vnodes(), vnodes);
            expect_covers_exactly(plate, *grid);
        }
}

TEST(Decomposition, ExistsWheneverThereIsARowForEveryVNode) {
    for (std::uint64_t rows = 1; rows <= 60; ++rows)
        for (std::uint32_t vnodes = 1; vnodes <= rows; ++vnodes)
            EXPECT_TRUE(decompose({rows, 1}, vnodes)) << rows << " rows, " << vnodes << " VNodes";
}

TEST(Decomposition, UsesBlocksWhereStripsDoNotSuffice) {
    const auto grid = decompose({100, 100}, 1000);
    ASSERT_TRUE(grid);
    EXPECT_LE(grid->block_rows(), 100U);
    EXPECT_LE(grid->block_columns(), 100U);
    expect_covers_exactly({100, 100}, *grid);
}

TEST(Decomposition, IsRefusedWhereItCannotBe) {
    EXPECT_FALSE(decompose({100, 100}, 101));  // a prime: only strips, and there are not that many rows
    EXPECT_FALSE(decompose({2, 2}, 5));
    EXPECT_EQ(nearest_vnodes({100, 100}, 101), 100U);
    EXPECT_EQ(nearest_vnodes({2, 2}, 5), 4U);
}

TEST(Decomposition, NeighboursAreMutualAndTouch) {
    const auto grid = decompose({40, 50}, 24);
    ASSERT_TRUE(grid);
    for (std::uint32_t v = 0; v < grid->vnodes(); ++v) {
        const Block block = grid->block(v);
        const auto below = grid->neighbour(v, 0, phoenix::Side::high);
        EXPECT_EQ(below.has_value(), block.row + block.rows < 40);
        if (below) {
            EXPECT_EQ(grid->neighbour(*below, 0, phoenix::Side::low), v);
            EXPECT_EQ(grid->block(*below).row, block.row + block.rows);
            EXPECT_EQ(grid->block(*below).column, block.column);
            EXPECT_EQ(grid->block(*below).columns, block.columns);
        }
        const auto right = grid->neighbour(v, 1, phoenix::Side::high);
        EXPECT_EQ(right.has_value(), block.column + block.columns < 50);
        if (right) {
            EXPECT_EQ(grid->neighbour(*right, 1, phoenix::Side::low), v);
            EXPECT_EQ(grid->block(*right).column, block.column + block.columns);
            EXPECT_EQ(grid->block(*right).rows, block.rows);
        }
    }
}

}  // namespace
}  // namespace plate
