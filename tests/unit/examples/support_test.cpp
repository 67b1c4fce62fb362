#include "support/digest.hpp"
#include "support/output_file.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <phoenix/error.hpp>
#include <stdexcept>
#include <vector>

namespace support {
namespace {

TEST(Digest, DoesNotDependOnThePieces) {
    const std::vector<double> values{1, 2, 3, 4.5, -0.0};
    Digest whole;
    whole.add(values);
    Digest pieces;
    pieces.add(std::span{values}.first(2));
    pieces.add(std::span{values}.subspan(2, 0));
    pieces.add(std::span{values}.subspan(2));
    EXPECT_EQ(whole.text(), pieces.text());
    EXPECT_EQ(whole.text().size(), 32U);
    Digest other;
    other.add(std::vector<double>{1, 2, 3, 4.5, 0.0});  // one bit differs
    EXPECT_NE(whole.text(), other.text());
}

TEST(Digest, IsXxh3OfTheBytes) { EXPECT_EQ(Digest{}.text(), "99aa06d3014798d86001c324468d497f"); }

class OutputFile : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "output_file_test.XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    [[nodiscard]] std::string path(const char* name) const { return folder_ / name; }
    [[nodiscard]] bool is_empty() const { return std::filesystem::is_empty(folder_); }

    std::filesystem::path folder_;
};

TEST_F(OutputFile, IsTriedWithoutATrace) {
    EXPECT_NO_THROW(require_writable(path("result.h5")));
    EXPECT_TRUE(is_empty());
    std::ofstream{path("old.h5")} << "old";
    EXPECT_NO_THROW(require_writable(path("old.h5")));
    EXPECT_EQ(std::filesystem::file_size(path("old.h5")), 3U);
}

TEST_F(OutputFile, IsRefusedWhereItCannotBe) {
    EXPECT_THROW(require_writable(path("absent/result.h5")), phoenix::Error);
    EXPECT_THROW(require_writable(folder_), phoenix::Error);
    EXPECT_THROW(require_writable("/dev/null/result.h5"), phoenix::Error);
}

TEST_F(OutputFile, IsCompleteOrAbsent) {
    EXPECT_THROW(write_whole(path("result"),
                             [](const std::string& name) {
                                 std::ofstream{name} << "half";
                                 throw std::runtime_error{"disk full"};
                             }),
                 std::runtime_error);
    EXPECT_TRUE(is_empty());
    write_whole(path("result"), [](const std::string& name) { std::ofstream{name} << "whole"; });
    EXPECT_EQ(std::filesystem::file_size(path("result")), 5U);
}

}  // namespace
}  // namespace support
