#pragma once
/// The plate as a picture.

#include "plate/plate_file.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace plate {

using Colour = std::array<std::uint8_t, 3>;

/// Dark violet over red and orange to light yellow, brightness growing all the way, so that it also reads in grey.
///
/// @param heat  0 coldest .. 1 hottest; other values are clamped.
[[nodiscard]] Colour colour_of(double heat) noexcept;

struct Picture {
    std::uint32_t width{0};
    std::uint32_t height{0};
    std::vector<std::uint8_t> pixels;  ///< Red, green, blue; row by row.
};

/// Draws the plate between its own coldest and hottest point. Where a side is longer than `side_max`, both shrink alike
/// and a pixel shows the mean of its points.
[[nodiscard]] Picture draw(Size size, const RowSource& row, std::uint32_t side_max = 1024);

/// @error system  libpng could not write: says why.
void write_png(const std::string& file, const Picture& picture);

}  // namespace plate
