#include "plate/plate_file.hpp"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <hdf5.h>
#include <limits>
#include <numeric>
#include <phoenix/error.hpp>
#include <vector>

namespace plate {
namespace {

using testing::HasSubstr;

class PlateFile : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "plate_file_test.XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    [[nodiscard]] std::string path(const char* name) const { return folder_ / name; }

    void write_values(const std::string& file, const std::vector<hsize_t>& extents, hid_t type) const {
        const hid_t opened = H5Fcreate(file.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        const hid_t space = H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
        const hid_t data = H5Dcreate2(opened, "values", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        H5Dclose(data);
        H5Sclose(space);
        H5Fclose(opened);
    }
    static std::string refusal(const std::function<void()>& call) {
        try {
            call();
        } catch (const phoenix::Error& error) {
            return error.what();
        }
        return "nothing was refused";
    }

    std::filesystem::path folder_;
};

TEST_F(PlateFile, ReadsBackTheBlocksOfWhatItWrote) {
    const Size size{70, 3001};  // more than one piece of rows
    std::vector<double> values(size.rows * size.columns);
    std::iota(values.begin(), values.end(), 0.5);
    write_plate(path("plate.h5"), size,
                [&](std::uint64_t i) { return std::span{values}.subspan(i * size.columns, size.columns); });
    EXPECT_EQ(read_size(path("plate.h5"), "/heat"), size);
    const Block block{40, 1000, 5, 7};
    std::vector<double> part(5 * 10, -1.0);
    read_block(path("plate.h5"), "/heat", block, part.data(), 10);
    for (std::uint64_t i = 0; i < 5; ++i)
        for (std::uint64_t j = 0; j < 10; ++j)
            EXPECT_EQ(part[i * 10 + j], j < 7 ? values[(40 + i) * size.columns + 1000 + j] : -1.0);
}

TEST_F(PlateFile, RefusesWhatIsNoPlate) {
    const auto size_of = [this](const char* name, const char* dataset) {
        return refusal([&] { (void)read_size(path(name), dataset); });
    };
    EXPECT_THAT(size_of("absent.h5", "/heat"), HasSubstr("No such file"));
    std::ofstream{path("text.h5")} << "not HDF5";
    EXPECT_THAT(size_of("text.h5", "/heat"), HasSubstr("is not an HDF5 file"));
    write_values(path("cube.h5"), {2, 3, 4}, H5T_NATIVE_DOUBLE);
    EXPECT_THAT(size_of("cube.h5", "/values"), HasSubstr("has 3 dimensions, a plate has 2"));
    EXPECT_THAT(size_of("cube.h5", "/heat"), HasSubstr("has no dataset '/heat'"));
    write_values(path("empty.h5"), {2, 0}, H5T_NATIVE_DOUBLE);
    EXPECT_THAT(size_of("empty.h5", "/values"), HasSubstr("is empty"));
    write_values(path("text_values.h5"), {2, 2}, H5T_C_S1);
    EXPECT_THAT(size_of("text_values.h5", "/values"), HasSubstr("does not hold numbers"));
}

TEST_F(PlateFile, RefusesTemperaturesThatAreNotFinite) {
    const std::vector<double> values{1, 2, 3, std::numeric_limits<double>::quiet_NaN()};
    write_plate(path("nan.h5"), {2, 2}, [&](std::uint64_t i) { return std::span{values}.subspan(2 * i, 2); });
    std::array<double, 4> part{};
    EXPECT_THAT(refusal([&] {
                    read_block(path("nan.h5"), "/heat", {0, 0, 2, 2}, part.data(), 2);
                }),
                HasSubstr("not finite at row 1, column 1"));
}

TEST_F(PlateFile, ReportsAFileThatCannotBeWritten) {
    const std::vector<double> values{1};
    EXPECT_THAT(refusal([&] {
                    write_plate(path("absent/plate.h5"), {1, 1},
                                [&](std::uint64_t) { return std::span<const double>{values}; });
                }),
                HasSubstr("cannot write"));
}

}  // namespace
}  // namespace plate
