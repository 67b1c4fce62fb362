#include "sample.hpp"

#include <gmock/gmock.h>

namespace phoenix::checkpoint {
namespace {

/// Writes with `parts` parts and reads back, each with and without padding.
void round_trip(std::uint32_t vnodes, const ShapeOf& shape_of, std::uint32_t parts) {
    for (const std::size_t padding : {std::size_t{0}, std::size_t{3}}) {
        const TemporaryDirectory directory;
        const Sample sample = make_sample(vnodes, shape_of, padding);
        const auto written = sample.write(directory.path(), parts);
        ASSERT_TRUE(written) << written.error().sentence;
        auto opened = open_latest(directory.path(), sample.expectation());
        ASSERT_TRUE(opened) << opened.error().sentence;
        EXPECT_TRUE(opened->skipped.empty());
        EXPECT_EQ(opened->reader.path(), *written);
        expect_same(opened->reader, sample, 3 - padding);
    }
}

Extents rows_differ(std::uint32_t v, std::size_t f) {
    Extents extents = plain_shape(v, f);
    if (f == 0) extents[0] = 3 + v % 4;
    if (f == 2) extents[0] = v % 3;
    return extents;
}

Extents all_differ(std::uint32_t v, std::size_t f) {
    Extents extents = plain_shape(v, f);
    if (f == 0) extents = {3 + v % 4, 2 + v % 5, 1};
    if (f == 2) extents = {1 + v % 2, v % 3, 1 + v % 4};
    if (f == 3) extents[0] = v % 5;
    return extents;
}

Extents some_empty(std::uint32_t v, std::size_t f) {
    return f < 4 && v % 3 == 0 ? Extents{0, f == 1 || f == 3 ? 1U : 9U, f == 2 ? 4U : 1U} : plain_shape(v, f);
}

Extents all_empty(std::uint32_t, std::size_t f) {
    return f == 4 ? Extents{1, 1, 1} : Extents{0, f == 1 || f == 3 ? 1U : 7U, f == 2 ? 4U : 1U};
}

TEST(CheckpointRoundTrip, EqualShapes) { round_trip(12, plain_shape, 3); }
TEST(CheckpointRoundTrip, ShapesThatDifferInRows) { round_trip(13, rows_differ, 4); }
TEST(CheckpointRoundTrip, ShapesThatDifferInAllExtents) { round_trip(13, all_differ, 4); }
TEST(CheckpointRoundTrip, SomePartsAreEmpty) { round_trip(10, some_empty, 5); }
TEST(CheckpointRoundTrip, AllPartsAreEmpty) { round_trip(6, all_empty, 2); }
TEST(CheckpointRoundTrip, OneVNode) { round_trip(1, plain_shape, 1); }
TEST(CheckpointRoundTrip, OnePartPerVNode) { round_trip(7, all_differ, 7); }
TEST(CheckpointRoundTrip, AThousandVNodesInSevenParts) { round_trip(1000, rows_differ, 7); }

TEST(CheckpointRoundTrip, PiecesLargerThanAnyBuffer) {
    round_trip(
        3,
        [](std::uint32_t v, std::size_t f) {
            return f == 0 ? Extents{600 + v, 301, 1} : f == 1 ? Extents{400'000 + v, 1, 1} : plain_shape(v, f);
        },
        2);
}

TEST(CheckpointRoundTrip, ADomainWithoutFieldsKeepsItsStateAndMessages) {
    const TemporaryDirectory directory;
    Sample sample = make_sample(5);
    sample.cut.fields.clear();
    for (auto& vnode : sample.vnodes) vnode.fields.clear();
    ASSERT_TRUE(sample.write(directory.path(), 2));
    auto opened = open_latest(directory.path(), sample.expectation());
    ASSERT_TRUE(opened) << opened.error().sentence;
    expect_same(opened->reader, sample, 0);
}

TEST(CheckpointRoundTrip, PartsMayBeWrittenInAnyOrderAndAgain) {
    const TemporaryDirectory directory;
    const Sample sample = make_sample(10, rows_differ);
    for (const std::uint32_t index : {2U, 0U, 2U, 1U, 0U}) {
        const PartRange range = even_part(10, 3, index);
        ASSERT_TRUE(write_part(directory.path(), sample.cut, range, sample.views(range)));
    }
    ASSERT_TRUE(finish(directory.path(), sample.cut, {.parts = 3}));
    auto opened = open_latest(directory.path(), sample.expectation());
    ASSERT_TRUE(opened) << opened.error().sentence;
    expect_same(opened->reader, sample, 1);
}

TEST(CheckpointRoundTrip, APartWrittenTwiceIsTheSameBytes) {
    const TemporaryDirectory one;
    const TemporaryDirectory two;
    const Sample sample = make_sample(10, all_differ);
    const auto first = sample.write(one.path(), 2);
    const auto second = sample.write(two.path(), 2);
    ASSERT_TRUE(first && second);
    for (const char* name : {"part-0000.h5", "part-0001.h5", "MANIFEST.json"}) {
        EXPECT_EQ(read_whole(join(*first, name)).value(), read_whole(join(*second, name)).value()) << name;
    }
}

TEST(CheckpointRoundTrip, DigestsDependOnTheVNodesBytesOnly) {
    const TemporaryDirectory one;
    const TemporaryDirectory two;
    Sample sample = make_sample(10);
    ASSERT_TRUE(sample.write(one.path(), 1));
    sample.vnodes[3].fields[0].view.data[0] ^= std::byte{1};
    ASSERT_TRUE(sample.write(two.path(), 4));
    auto before = open_latest(one.path(), {});
    auto after = open_latest(two.path(), {});
    ASSERT_TRUE(before && after);
    for (std::uint32_t v = 0; v < 10; ++v) {
        EXPECT_EQ(before->reader.digest(v).value() == after->reader.digest(v).value(), v != 3) << v;
    }
}

TEST(CheckpointRoundTrip, ViewsThatDoNotFitAreRefused) {
    const TemporaryDirectory directory;
    const Sample sample = make_sample(4);
    const PartRange all{0, 0, 4};
    auto views = sample.views(all);
    const auto kind_of = [&](const CutDescription& cut, PartRange range, const std::vector<VNodeView>& given) {
        const auto written = write_part(directory.path(), cut, range, given);
        return written ? FailureKind{} : written.error().kind;
    };
    EXPECT_EQ(kind_of(sample.cut, {0, 0, 3}, views), FailureKind::invalid_argument);
    EXPECT_EQ(kind_of(sample.cut, {0, 1, 4}, views), FailureKind::invalid_argument);
    EXPECT_EQ(kind_of(sample.cut, {0, 0, 0}, {}), FailureKind::invalid_argument);
    views[1].fields[3].extents = {3, 2, 1};
    EXPECT_EQ(kind_of(sample.cut, all, views), FailureKind::invalid_argument);
    views[1].fields.pop_back();
    EXPECT_EQ(kind_of(sample.cut, all, views), FailureKind::invalid_argument);
    for (const char* name : {"", "a/b", "x.offsets", "x.shapes", "counts"}) {
        CutDescription cut = sample.cut;
        cut.fields[0].name = name;
        EXPECT_EQ(kind_of(cut, all, sample.views(all)), FailureKind::invalid_argument) << name;
    }
}

}  // namespace
}  // namespace phoenix::checkpoint
