#pragma once
/// Plates in HDF5 files: two-dimensional datasets of numbers.

#include "plate/decomposition.hpp"

#include <functional>
#include <span>
#include <string>

namespace plate {

/// Size of a dataset, after making sure that it can be read.
///
/// @error invalid_argument  Not there, not HDF5, not two-dimensional, empty, not of numbers: says which.
[[nodiscard]] Size read_size(const std::string& file, const std::string& dataset);

/// Reads one block of it as doubles; row i goes to first + i * stride.
///
/// @error invalid_argument  The file has become unreadable, or a value is not finite.
void read_block(const std::string& file, const std::string& dataset, const Block& block, double* first,
                std::ptrdiff_t stride);

/// Gives row i of the plate.
using RowSource = std::function<std::span<const double>(std::uint64_t row)>;

/// Writes dataset /heat. @error system  HDF5 could not write: names the file.
void write_plate(const std::string& file, Size size, const RowSource& row);

}  // namespace plate
