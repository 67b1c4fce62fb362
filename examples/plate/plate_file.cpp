#include "plate/plate_file.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <hdf5.h>
#include <phoenix/error.hpp>
#include <unistd.h>
#include <utility>
#include <vector>

namespace plate {

namespace {

/// An open HDF5 object.
class Handle {
  public:
    Handle(hid_t id, herr_t (*closer)(hid_t)) noexcept : id_(id), close_(closer) {}
    Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
    Handle& operator=(Handle&&) = delete;
    ~Handle() {
        if (id_ >= 0) close_(id_);
    }
    [[nodiscard]] bool valid() const noexcept { return id_ >= 0; }
    [[nodiscard]] hid_t get() const noexcept { return id_; }
    /// Closes it now, because only closing tells whether everything reached the file.
    [[nodiscard]] bool close() noexcept { return close_(std::exchange(id_, -1)) >= 0; }

  private:
    hid_t id_;
    herr_t (*close_)(hid_t);
};

// HDF5 prints a page for every failed call unless told not to; we print a sentence.
void be_quiet() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

[[noreturn]] void refuse(const std::string& file, const std::string& what) {
    throw phoenix::Error{phoenix::Errc::invalid_argument, fmt::format("input '{}': {}", file, what)};
}

Handle open_input(const std::string& file) {
    be_quiet();
    if (access(file.c_str(), R_OK) != 0) refuse(file, fmt::format("cannot be read: {}", std::strerror(errno)));
    Handle opened{H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose};
    if (!opened.valid()) refuse(file, "is not an HDF5 file, or a damaged one");
    return opened;
}

Handle open_dataset(const Handle& opened, const std::string& file, const std::string& dataset) {
    Handle data{H5Dopen2(opened.get(), dataset.c_str(), H5P_DEFAULT), H5Dclose};
    if (!data.valid()) refuse(file, fmt::format("has no dataset '{}' (h5dump -n lists what it has)", dataset));
    return data;
}

}  // namespace

Size read_size(const std::string& file, const std::string& dataset) {
    const Handle opened = open_input(file);
    const Handle data = open_dataset(opened, file, dataset);
    const Handle type{H5Dget_type(data.get()), H5Tclose};
    const H5T_class_t kind = H5Tget_class(type.get());
    if (kind != H5T_FLOAT && kind != H5T_INTEGER)
        refuse(file, fmt::format("dataset '{}' does not hold numbers", dataset));
    const Handle space{H5Dget_space(data.get()), H5Sclose};
    const int rank = H5Sget_simple_extent_ndims(space.get());
    if (rank != 2) refuse(file, fmt::format("dataset '{}' has {} dimensions, a plate has 2", dataset, rank));
    std::array<hsize_t, 2> extents{};
    H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr);
    if (extents[0] == 0 || extents[1] == 0) refuse(file, fmt::format("dataset '{}' is empty", dataset));
    return {extents[0], extents[1]};
}

void read_block(const std::string& file, const std::string& dataset, const Block& block, double* first,
                std::ptrdiff_t stride) {
    const Handle opened = open_input(file);
    const Handle data = open_dataset(opened, file, dataset);
    const Handle space{H5Dget_space(data.get()), H5Sclose};
    const std::array<hsize_t, 2> start{block.row, block.column};
    const std::array<hsize_t, 2> count{block.rows, block.columns};
    const Handle memory{H5Screate_simple(2, count.data(), nullptr), H5Sclose};
    std::vector<double> values(block.rows * block.columns);
    if (H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr) < 0 ||
        H5Dread(data.get(), H5T_NATIVE_DOUBLE, memory.get(), space.get(), H5P_DEFAULT, values.data()) < 0)
        refuse(file, fmt::format("dataset '{}' cannot be read: the file is damaged or was changed", dataset));
    for (std::uint64_t i = 0; i < block.rows; ++i) {
        const double* row = values.data() + i * block.columns;
        const double* strange =
            std::find_if_not(row, row + block.columns, [](double value) { return std::isfinite(value); });
        if (strange != row + block.columns)
            refuse(file, fmt::format("dataset '{}' is not finite at row {}, column {}", dataset, block.row + i,
                                     block.column + static_cast<std::uint64_t>(strange - row)));
        std::copy_n(row, block.columns, first + static_cast<std::ptrdiff_t>(i) * stride);
    }
}

void write_plate(const std::string& file, Size size, const RowSource& row) {
    be_quiet();
    const auto fail = [&file] {
        throw phoenix::Error{phoenix::Errc::system,
                             fmt::format("cannot write '{}': HDF5 refused it; is the disk full?", file)};
    };
    Handle opened{H5Fcreate(file.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose};
    if (!opened.valid()) fail();
    const std::array<hsize_t, 2> extents{size.rows, size.columns};
    const Handle space{H5Screate_simple(2, extents.data(), nullptr), H5Sclose};
    Handle data{H5Dcreate2(opened.get(), "heat", H5T_NATIVE_DOUBLE, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                H5Dclose};
    if (!data.valid()) fail();

    // Several rows at a time: a call for each row of a narrow plate would take longer than the data.
    const std::uint64_t rows_at_once = std::max<std::uint64_t>(1, (std::uint64_t{1} << 17) / size.columns);
    std::vector<double> values(std::min(rows_at_once, size.rows) * size.columns);
    for (std::uint64_t first = 0; first < size.rows; first += rows_at_once) {
        const std::array<hsize_t, 2> start{first, 0};
        const std::array<hsize_t, 2> count{std::min(rows_at_once, size.rows - first), size.columns};
        for (std::uint64_t i = 0; i < count[0]; ++i)
            std::ranges::copy(row(first + i), values.begin() + static_cast<std::ptrdiff_t>(i * size.columns));
        const Handle memory{H5Screate_simple(2, count.data(), nullptr), H5Sclose};
        if (H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr) < 0 ||
            H5Dwrite(data.get(), H5T_NATIVE_DOUBLE, memory.get(), space.get(), H5P_DEFAULT, values.data()) < 0)
            fail();
    }
    if (!data.close() || !opened.close()) fail();
}

}  // namespace plate
