#include "plate/relax.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace plate {
namespace {

struct Plate {
    std::ptrdiff_t rows;
    std::ptrdiff_t columns;
    std::vector<double> now;
    std::vector<double> next;

    Plate(std::ptrdiff_t r, std::ptrdiff_t c) : rows(r), columns(c), now(static_cast<std::size_t>(r * c)), next(now) {
        std::mt19937_64 bits{static_cast<std::uint64_t>(r * 1000 + c)};
        for (double& value : now) value = static_cast<double>(bits() >> 11) * 0x1.0p-53 * 100;
    }
    [[nodiscard]] Sweep sweep(std::ptrdiff_t row, std::ptrdiff_t column, std::ptrdiff_t r, std::ptrdiff_t c) {
        const auto place = static_cast<std::size_t>(row * columns + column);
        return {
            &now[place], &next[place], columns, columns, static_cast<std::uint64_t>(r), static_cast<std::uint64_t>(c)};
    }
    [[nodiscard]] double at(std::ptrdiff_t i, std::ptrdiff_t j) const {
        return now[static_cast<std::size_t>(i * columns + j)];
    }
};

TEST(Relax, IsTheMeanOfTheFourNeighbours) {
    Plate plate{9, 23};
    relax(plate.sweep(1, 1, 7, 21));
    for (std::ptrdiff_t i = 1; i < 8; ++i)
        for (std::ptrdiff_t j = 1; j < 22; ++j)
            EXPECT_EQ(plate.next[static_cast<std::size_t>(i * 23 + j)],
                      0.25 * ((plate.at(i - 1, j) + plate.at(i + 1, j)) + (plate.at(i, j - 1) + plate.at(i, j + 1))));
}

TEST(Relax, MeasuringChangesNothingAndFindsTheLargestChange) {
    for (const std::ptrdiff_t columns : {3, 4, 9, 10, 11, 18, 40}) {
        Plate plain{12, columns};
        Plate measured{12, columns};
        relax(plain.sweep(1, 1, 10, columns - 2));
        const double change = relax_and_measure(measured.sweep(1, 1, 10, columns - 2));
        EXPECT_EQ(plain.next, measured.next);
        double largest = 0;
        for (std::ptrdiff_t i = 1; i < 11; ++i)
            for (std::ptrdiff_t j = 1; j < columns - 1; ++j)
                largest = std::max(largest,
                                   std::fabs(plain.next[static_cast<std::size_t>(i * columns + j)] - plain.at(i, j)));
        EXPECT_EQ(change, largest) << columns << " columns";
    }
}

TEST(Relax, GivesTheSameBitsInPieces) {
    Plate whole{20, 37};
    Plate pieces{20, 37};
    relax(whole.sweep(1, 1, 18, 35));
    relax(pieces.sweep(1, 1, 7, 11));
    relax(pieces.sweep(1, 12, 7, 24));
    relax(pieces.sweep(8, 1, 11, 35));
    EXPECT_EQ(whole.next, pieces.next);
}

}  // namespace
}  // namespace plate
