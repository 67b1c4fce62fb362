#include "plate/options.hpp"

#include <gmock/gmock.h>
#include <vector>

namespace plate {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

support::CommandLine<Options> parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "plate");
    return parse_options(static_cast<int>(arguments.size()), arguments.data());
}

TEST(PlateOptions, AreTakenFromTheCommandLine) {
    const auto line = parse({"--size", "300x400", "--vnodes", "7", "--steps", "90", "--tolerance", "0.5", "--digest",
                             "--output", "a.h5", "--picture", "a.png", "--commit-every", "3"});
    EXPECT_THAT(line.mistake, IsEmpty());
    EXPECT_THAT(line.help, IsEmpty());
    EXPECT_EQ(line.options.size, (Size{300, 400}));
    EXPECT_EQ(line.options.vnodes, 7U);
    EXPECT_EQ(line.options.steps, 90U);
    EXPECT_EQ(line.options.tolerance, 0.5);
    EXPECT_EQ(line.options.commit_every, 3U);
    EXPECT_TRUE(line.options.digest);
}

TEST(PlateOptions, SplitTheInputAtTheDataset) {
    const auto line = parse({"--input", "some:where/plate.h5:/group/heat", "--vnodes", "1000000"});
    EXPECT_THAT(line.mistake, IsEmpty());  // the size comes from the file, so VNodes are checked later
    EXPECT_EQ(line.options.input_file, "some:where/plate.h5");
    EXPECT_EQ(line.options.input_dataset, "/group/heat");
}

TEST(PlateOptions, RefuseMistakesInASentence) {
    for (const char* size : {"", "100", "100x", "x100", "0x5", "5x0", "1e3x4", "10x10x10", "-1x4", "10 x10",
                             "99999999999999999999x1", "4294967296x4294967296"})
        EXPECT_THAT(parse({"--size", size}).mistake, HasSubstr("is not ROWSxCOLUMNS")) << size;
    EXPECT_THAT(parse({"--vnodes", "0"}).mistake, HasSubstr("--vnodes must be at least 1"));
    EXPECT_THAT(parse({"--size", "100x100", "--vnodes", "10007"}).mistake,
                HasSubstr("10007 VNodes do not divide a plate of 100x100"));
    EXPECT_THAT(parse({"--size", "100x100", "--vnodes", "101"}).mistake, HasSubstr("; 100 do"));
    EXPECT_THAT(parse({"--input", "plate.h5"}).mistake, HasSubstr("FILE.h5:/DATASET"));
    EXPECT_THAT(parse({"--input", "plate.h5:/"}).mistake, HasSubstr("FILE.h5:/DATASET"));
    EXPECT_THAT(parse({"--input", "plate.h5:/heat", "--size", "3x3"}).mistake, HasSubstr("exclude each other"));
    EXPECT_THAT(parse({"--tolerance", "-1"}).mistake, HasSubstr("--tolerance"));
    EXPECT_THAT(parse({"--commit-every", "0"}).mistake, HasSubstr("--commit-every"));
    EXPECT_THAT(parse({"--output", "a", "--picture", "a"}).mistake, HasSubstr("same file"));
    EXPECT_THAT(parse({"--colour"}).mistake, HasSubstr("--colour"));
    EXPECT_THAT(parse({"--steps", "many"}).mistake, HasSubstr("many"));
}

TEST(PlateOptions, HelpIsNoMistake) {
    const auto line = parse({"--help"});
    EXPECT_THAT(line.help, HasSubstr("--vnodes"));
    EXPECT_THAT(line.mistake, IsEmpty());
}

}  // namespace
}  // namespace plate
