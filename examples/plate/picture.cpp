#include "plate/picture.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <phoenix/error.hpp>
#include <png.h>

namespace plate {

Colour colour_of(double heat) noexcept {
    // Nine points of the perceptually uniform map "inferno" (S. van der Walt, N. Smith, for matplotlib, CC0).
    static constexpr std::array<Colour, 9> anchors{{{0, 0, 4},
                                                    {31, 12, 72},
                                                    {85, 15, 109},
                                                    {136, 34, 106},
                                                    {186, 54, 85},
                                                    {227, 89, 51},
                                                    {249, 140, 10},
                                                    {249, 201, 50},
                                                    {252, 255, 164}}};
    const double place = std::clamp(heat, 0.0, 1.0) * (anchors.size() - 1);
    const std::size_t below = std::min(static_cast<std::size_t>(place), anchors.size() - 2);
    const double part = place - static_cast<double>(below);
    Colour colour{};
    for (std::size_t channel = 0; channel < colour.size(); ++channel) {
        const double mixed = anchors[below][channel] * (1 - part) + anchors[below + 1][channel] * part;
        colour[channel] = static_cast<std::uint8_t>(mixed + 0.5);
    }
    return colour;
}

Picture draw(Size size, const RowSource& row, std::uint32_t side_max) {
    const std::uint64_t longest = std::max(size.rows, size.columns);
    const std::uint64_t scale = (longest + side_max - 1) / side_max;  // points per pixel and side
    Picture picture;
    picture.height = static_cast<std::uint32_t>((size.rows + scale - 1) / scale);
    picture.width = static_cast<std::uint32_t>((size.columns + scale - 1) / scale);
    std::vector<double> means(std::size_t{picture.height} * picture.width, 0.0);
    double coldest = std::numeric_limits<double>::infinity();
    double hottest = -coldest;
    for (std::uint64_t i = 0; i < size.rows; ++i) {
        const std::span<const double> values = row(i);
        double* line = means.data() + i / scale * picture.width;
        for (std::uint64_t j = 0; j < size.columns; ++j) {
            line[j / scale] += values[j];
            coldest = std::min(coldest, values[j]);
            hottest = std::max(hottest, values[j]);
        }
    }
    const double range = hottest > coldest ? hottest - coldest : 1;
    picture.pixels.reserve(means.size() * 3);
    for (std::uint64_t i = 0; i < picture.height; ++i)
        for (std::uint64_t j = 0; j < picture.width; ++j) {
            const std::uint64_t rows = std::min(scale, size.rows - i * scale);
            const std::uint64_t columns = std::min(scale, size.columns - j * scale);
            const double mean = means[i * picture.width + j] / static_cast<double>(rows * columns);
            const Colour colour = colour_of((mean - coldest) / range);
            picture.pixels.insert(picture.pixels.end(), colour.begin(), colour.end());
        }
    return picture;
}

void write_png(const std::string& file, const Picture& picture) {
    // libpng's simplified interface: it reports errors by value, where the other one jumps over destructors.
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = picture.width;
    image.height = picture.height;
    image.format = PNG_FORMAT_RGB;
    if (png_image_write_to_file(&image, file.c_str(), 0, picture.pixels.data(), 0, nullptr) == 0) {
        const std::string reason = image.message;
        png_image_free(&image);
        throw phoenix::Error{phoenix::Errc::system, fmt::format("cannot write '{}': {}", file, reason)};
    }
}

}  // namespace plate
