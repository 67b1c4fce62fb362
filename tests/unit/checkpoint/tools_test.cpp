#include "sample.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <gmock/gmock.h>
#include <sys/wait.h>

namespace phoenix::checkpoint {
namespace {

struct Outcome {
    int status{};
    std::string output;
};

Outcome run(const std::string& command) {
    Outcome outcome;
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    std::array<char, 4096> buffer{};
    while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) outcome.output += buffer.data();
    outcome.status = WEXITSTATUS(pclose(pipe));
    return outcome;
}

/// The values that h5py_reads_checkpoint.py expects.
class CheckpointTools : public testing::Test {
  protected:
    void SetUp() override {
        cut_ = {.domain = "plate", .lineage = 1, .vnodes = 10, .step = 100};
        cut_.fields = {{.name = "heat", .type = {ElementKind::floating, 8}, .rank = 2},
                       {.name = "rows", .type = {ElementKind::signed_integer, 4}, .rank = 2},
                       {.name = "flat", .type = {ElementKind::unsigned_integer, 2}, .rank = 2}};
        cut_.records = {{"result", {std::byte{'4'}, std::byte{'2'}}}};
        for (std::uint32_t v = 0; v < 10; ++v) add(v);
        for (std::uint32_t index = 0; index < 3; ++index) {
            const PartRange range = even_part(10, 3, index);
            const std::span views{&views_[range.first], range.count};
            const auto written = write_part(directory_.path(), cut_, range, views);
            ASSERT_TRUE(written) << written.error().sentence;
        }
        const auto finished = finish(directory_.path(), cut_, {.parts = 3});
        ASSERT_TRUE(finished) << finished.error().sentence;
        path_ = *finished;
    }

    template <typename Number>
    FieldView field(Extents extents, Number first) {
        memory_.emplace_back(elements_of(extents) * sizeof(Number) + 1);
        for (std::size_t i = 0; i < elements_of(extents); ++i) {
            const auto value = static_cast<Number>(first + static_cast<Number>(i));
            std::memcpy(&memory_.back()[i * sizeof value], &value, sizeof value);
        }
        return {extents, memory_.back().data(), {}};
    }

    void add(std::uint32_t v) {
        VNodeView view;
        view.fields = {field<double>({5, 7, 1}, 1000.0 * v), field<int>({3 + v % 4, 2, 1}, static_cast<int>(100 * v)),
                       field<std::uint16_t>({v % 3, 1 + v % 4, 1}, static_cast<std::uint16_t>(10 * v))};
        memory_.emplace_back(v, static_cast<std::byte>(v));
        view.state = memory_.back();
        static constexpr std::array<std::byte, 3> abc{std::byte{'a'}, std::byte{'b'}, std::byte{'c'}};
        if (v == 2) view.messages.emplace_back(abc);
        views_.push_back(std::move(view));
    }

    TemporaryDirectory directory_;
    CutDescription cut_;
    std::vector<std::vector<std::byte>> memory_;
    std::vector<VNodeView> views_;
    std::string path_;
};

TEST_F(CheckpointTools, H5pyReadsEveryPartFromAnyWorkingDirectory) {
    for (const char* from : {"/", "/tmp"}) {
        const Outcome outcome =
            run(std::string{"cd "} + from + " && /usr/bin/python3 " PHOENIX_TEST_SCRIPT " " + path_);
        if (outcome.status == 77) GTEST_SKIP() << "python3-h5py is not installed";
        EXPECT_EQ(outcome.status, 0) << outcome.output;
    }
}

TEST_F(CheckpointTools, H5pyStillReadsItAfterTheDirectoryWasMoved) {
    const TemporaryDirectory elsewhere;
    const std::string moved = elsewhere.path() + "/moved";
    std::filesystem::rename(path_, moved);
    const Outcome outcome = run("/usr/bin/python3 " PHOENIX_TEST_SCRIPT " " + moved);
    if (outcome.status == 77) GTEST_SKIP() << "python3-h5py is not installed";
    EXPECT_EQ(outcome.status, 0) << outcome.output;
}

TEST_F(CheckpointTools, H5dumpShowsAVNodesPart) {
    if (run("h5dump --version").status != 0) GTEST_SKIP() << "hdf5-tools is not installed";
    const Outcome outcome = run("h5dump -d '/fields/heat[9,4,0;1,1,1;1,1,7;1,1,1]' " + path_ + "/master.h5");
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_THAT(outcome.output, testing::HasSubstr("( 10, 5, 7 )"));
    EXPECT_THAT(outcome.output, testing::HasSubstr("9028, 9029, 9030, 9031, 9032, 9033, 9034"));
}

}  // namespace
}  // namespace phoenix::checkpoint
