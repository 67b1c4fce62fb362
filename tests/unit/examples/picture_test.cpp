#include "plate/picture.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace plate {
namespace {

RowSource rows_of(const std::vector<double>& values, std::uint64_t columns) {
    return [&values, columns](std::uint64_t i) { return std::span{values}.subspan(i * columns, columns); };
}

int brightness(const Colour& colour) { return 299 * colour[0] + 587 * colour[1] + 114 * colour[2]; }

TEST(Picture, ColoursGrowBrighterWithHeat) {
    int before = -1;
    for (int i = 0; i <= 64; ++i) {
        const int now = brightness(colour_of(i / 64.0));
        EXPECT_GT(now, before);
        before = now;
    }
    EXPECT_EQ(colour_of(-3), colour_of(0));
    EXPECT_EQ(colour_of(7), colour_of(1));
}

TEST(Picture, HasAPixelForEveryPointOfASmallPlate) {
    const std::vector<double> values{0, 50, 100, 100, 50, 0};
    const Picture picture = draw({2, 3}, rows_of(values, 3));
    EXPECT_EQ(picture.width, 3U);
    EXPECT_EQ(picture.height, 2U);
    const auto pixel = [&](std::size_t i) {
        return Colour{picture.pixels[3 * i], picture.pixels[3 * i + 1], picture.pixels[3 * i + 2]};
    };
    EXPECT_EQ(pixel(0), colour_of(0));
    EXPECT_EQ(pixel(1), colour_of(0.5));
    EXPECT_EQ(pixel(3), colour_of(1));
}

TEST(Picture, ShrinksALargePlateToMeansOfItsPoints) {
    // 5 x 4 points into at most 3 pixels a side: 2 x 2 points a pixel, the last row of pixels has only one row of
    // points.
    std::vector<double> values(20, 0.0);
    values[0] = values[1] = values[4] = values[5] = 100;  // the first pixel entirely hot
    values[16] = 100;                                     // half of the last row's first pixel
    const Picture picture = draw({5, 4}, rows_of(values, 4), 3);
    ASSERT_EQ(picture.width, 2U);
    ASSERT_EQ(picture.height, 3U);
    ASSERT_EQ(picture.pixels.size(), 18U);
    const auto pixel = [&](std::size_t i) {
        return Colour{picture.pixels[3 * i], picture.pixels[3 * i + 1], picture.pixels[3 * i + 2]};
    };
    EXPECT_EQ(pixel(0), colour_of(1));
    EXPECT_EQ(pixel(1), colour_of(0));
    EXPECT_EQ(pixel(4), colour_of(0.5));
}

TEST(Picture, OfAPlateOfOneTemperatureIsDrawn) {
    const std::vector<double> values(4, 7.0);
    EXPECT_EQ(draw({2, 2}, rows_of(values, 2)).pixels.size(), 12U);
}

}  // namespace
}  // namespace plate
