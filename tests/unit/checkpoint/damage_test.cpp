#include "checkpoint/hdf5_file.hpp"
#include "sample.hpp"

#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace phoenix::checkpoint {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// Two checkpoints of one run: step 100 and, newer, step 200, which the tests damage.
class CheckpointDamage : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(older_.write(directory_.path(), 2));
        auto written = newer_.write(directory_.path(), 2);
        ASSERT_TRUE(written) << written.error().sentence;
        path_ = *written;
    }

    [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
    [[nodiscard]] Result<Opened> open(Verification verification = Verification::everything) const {
        return open_latest(directory_.path(), newer_.expectation(), verification);
    }

    void expect_fallback(FailureKind kind, const std::string& what) const {
        auto opened = open();
        ASSERT_TRUE(opened) << what << ": " << opened.error().sentence;
        EXPECT_EQ(opened->reader.cut().step, 100U) << what << " was not noticed";
        ASSERT_EQ(opened->skipped.size(), 1U) << what;
        EXPECT_EQ(opened->skipped[0].kind, kind) << what << ": " << opened->skipped[0].sentence;
        EXPECT_THAT(opened->skipped[0].sentence, HasSubstr(path_));
    }

    void flip(const std::string& name, std::uint64_t offset, unsigned bit) const {
        std::fstream stream{file(name), std::ios::in | std::ios::out | std::ios::binary};
        stream.seekg(static_cast<std::streamoff>(offset));
        const int byte = stream.get();
        stream.seekp(static_cast<std::streamoff>(offset));
        stream.put(static_cast<char>(byte ^ (1 << bit)));
        ASSERT_TRUE(stream.good());
    }

    /// Rewrites a value of the manifest, digest included: as another version or a careless tool would.
    void forge(const std::string& key, const nlohmann::json& value) const {
        const auto text = read_whole(file("MANIFEST.json"));
        ASSERT_TRUE(text);
        auto content = nlohmann::json::parse(*text).at("manifest");
        content[key] = value;
        ASSERT_TRUE(write_whole(file("MANIFEST.json"), seal_manifest(content.dump())));
    }

    TemporaryDirectory directory_;
    Sample older_ = make_sample(8);
    Sample newer_ = make_sample(8, plain_shape, 2, 200);
    std::string path_;
};

TEST_F(CheckpointDamage, AFileCutShortAtAnyLengthSendsBackToTheOneBefore) {
    for (const char* name : {"part-0000.h5", "part-0001.h5", "master.h5", "MANIFEST.json"}) {
        const auto whole = fs::file_size(file(name));
        const std::string copy = directory_.path() + "/copy";
        fs::copy_file(file(name), copy);
        for (std::uint64_t length = 0; length < whole; length += 1 + whole / 40) {
            fs::resize_file(file(name), length);
            const bool is_manifest = std::string_view{name} == "MANIFEST.json";
            expect_fallback(is_manifest ? FailureKind::corrupt : FailureKind::torn,
                            std::string{name} + " cut to " + std::to_string(length));
        }
        fs::remove(file(name));
        fs::rename(copy, file(name));
    }
    EXPECT_EQ(open()->reader.cut().step, 200U) << "the test itself damaged it";
}

TEST_F(CheckpointDamage, AMissingFileSendsBackToTheOneBefore) {
    for (const char* name : {"part-0000.h5", "part-0001.h5", "master.h5", "MANIFEST.json"}) {
        const std::string away = directory_.path() + "/away";
        fs::rename(file(name), away);
        expect_fallback(FailureKind::torn, name);
        fs::rename(away, file(name));
    }
}

TEST_F(CheckpointDamage, AFlippedBitAnywhereSendsBackToTheOneBefore) {
    std::mt19937_64 random{7};
    for (const char* name : {"part-0000.h5", "part-0001.h5", "master.h5", "MANIFEST.json"}) {
        const auto whole = fs::file_size(file(name));
        for (std::uint64_t start = 0; start < whole; start += 1 + whole / 150) {
            const std::uint64_t offset = start + random() % std::min<std::uint64_t>(whole - start, 1 + whole / 150);
            const auto bit = static_cast<unsigned>(random() % 8);
            flip(name, offset, bit);
            expect_fallback(FailureKind::corrupt, std::string{name} + " flipped at " + std::to_string(offset));
            flip(name, offset, bit);
        }
    }
    EXPECT_EQ(open()->reader.cut().step, 200U) << "the test itself damaged it";
}

TEST_F(CheckpointDamage, ADamagedPieceIsNamedByVNodeAndFieldWhenItIsRead) {
    const auto manifest = load_manifest(path_);
    ASSERT_TRUE(manifest);
    // VNode 5 is the second of part 1; heat is 5 x 7 doubles.
    const ByteRange heat = manifest->parts[1].data[0];
    flip("part-0001.h5", heat.offset + 35 * 8 + 100, 3);
    const ByteRange state = manifest->parts[1].data[5];
    flip("part-0001.h5", state.offset + 4 + 5 + 1, 0);  // VNodes 4 and 5 have 4 and 5 bytes of it
    auto opened = open(Verification::structure);
    ASSERT_TRUE(opened) << opened.error().sentence;
    CheckpointReader& reader = opened->reader;
    ASSERT_EQ(reader.cut().step, 200U);
    for (std::uint32_t v = 0; v < 8; ++v) {
        auto into = make_part(reader.cut().fields[0], {5, 7, 1}, v % 2, std::byte{0});
        const auto read = reader.read_field(v, 0, into.view);
        ASSERT_EQ(read.has_value(), v != 5);
        ASSERT_EQ(reader.state(v).has_value(), v != 6);
        if (v == 5) {
            EXPECT_EQ(read.error().kind, FailureKind::corrupt);
            EXPECT_THAT(read.error().sentence, HasSubstr("VNode 5's part of field 'heat'"));
            EXPECT_THAT(read.error().sentence, HasSubstr("part-0001.h5"));
        }
    }
    const auto verified = reader.verify();
    ASSERT_FALSE(verified);
    EXPECT_THAT(verified.error().sentence, HasSubstr("VNode 5's part of field 'heat'"));
}

TEST_F(CheckpointDamage, WithoutAnyGoodOneTheSentenceSaysWhy) {
    fs::remove_all(directory_.path() + "/step-000000000100.g0");
    fs::resize_file(file("master.h5"), 10);
    const auto opened = open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, FailureKind::torn);
    EXPECT_THAT(opened.error().sentence, HasSubstr("master.h5' has 10 bytes instead of"));
}

TEST_F(CheckpointDamage, OnlyATornOneIsSaidSo) {
    const TemporaryDirectory directory;
    const PartRange half{0, 0, 4};
    ASSERT_TRUE(write_part(directory.path(), newer_.cut, half, newer_.views(half)));
    const auto opened = open_latest(directory.path(), {});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, FailureKind::torn);
    EXPECT_THAT(opened.error().sentence, HasSubstr("only the torn checkpoint 'step-000000000200.g0.partial'"));
}

TEST_F(CheckpointDamage, AnotherFormatVersionIsNamed) {
    forge("format_version", 99);
    const auto opened = open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, FailureKind::other_version);
    EXPECT_THAT(opened.error().sentence, HasSubstr("format version 99"));
}

TEST_F(CheckpointDamage, AnotherByteOrderIsNamed) {
    forge("byte_order", "other");
    const auto opened = open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, FailureKind::other_version);
}

TEST_F(CheckpointDamage, AManifestThatContradictsItsFilesIsCorrupt) {
    forge("parts", nlohmann::json::array());
    expect_fallback(FailureKind::corrupt, "no parts");
    forge("vnodes", 9);
    expect_fallback(FailureKind::corrupt, "a VNode too many");
}

class CheckpointMismatch : public CheckpointDamage {
  protected:
    void expect_refused(const Expectation& expected, FailureKind kind, const std::string& words) const {
        const auto opened = open_latest(directory_.path(), expected);
        ASSERT_FALSE(opened) << words;
        EXPECT_EQ(opened.error().kind, kind) << opened.error().sentence;
        EXPECT_THAT(opened.error().sentence, HasSubstr(words));
        EXPECT_THAT(opened.error().sentence, HasSubstr(path_));
    }
};

TEST_F(CheckpointMismatch, AnotherDomain) {
    Expectation expected = newer_.expectation();
    expected.domain = "grid";
    expect_refused(expected, FailureKind::other_domain, "is of domain 'plate', the program's is 'grid'");
}

TEST_F(CheckpointMismatch, AnotherNumberOfVNodes) {
    Expectation expected = newer_.expectation();
    expected.vnodes = 9;
    expect_refused(expected, FailureKind::other_layout, "has 8 VNodes, the program 9");
}

TEST_F(CheckpointMismatch, AnotherProgram) {
    Expectation expected = newer_.expectation();
    expected.layout_hash = 1;
    expect_refused(expected, FailureKind::other_layout, "other parameters");
}

TEST_F(CheckpointMismatch, OtherFieldsAreNamed) {
    const auto with = [&](const std::function<void(std::vector<FieldLayout>&)>& change) {
        Expectation expected = newer_.expectation();
        change(*expected.fields);
        return expected;
    };
    expect_refused(with([](auto& fields) { fields[0].name = "temperature"; }), FailureKind::other_layout,
                   "it has no field 'temperature'");
    expect_refused(with([](auto& fields) { fields[0].type.size_bytes = 4; }), FailureKind::other_layout,
                   "its field 'heat' is float64 heat of rank 2, the program's is float32 heat of rank 2");
    expect_refused(with([](auto& fields) { fields[0].rank = 3; }), FailureKind::other_layout, "of rank 3");
    expect_refused(with([](auto& fields) { fields[0].resizable = true; }), FailureKind::other_layout, "resizable");
    expect_refused(with([](auto& fields) { fields.pop_back(); }), FailureKind::other_layout, "5 fields, the program 4");
    expect_refused(with([](auto& fields) { std::swap(fields[0], fields[1]); }), FailureKind::other_layout,
                   "another order");
}

TEST_F(CheckpointMismatch, AnotherShapeIsNamedWhenThePartIsRead) {
    auto opened = open();
    ASSERT_TRUE(opened);
    auto into = make_part(newer_.cut.fields[0], {7, 5, 1}, 0, std::byte{0});
    const auto read = opened->reader.read_field(2, 0, into.view);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().kind, FailureKind::other_layout);
    EXPECT_THAT(read.error().sentence, HasSubstr("VNode 2's part of field 'heat' has shape [5, 7]"));
    EXPECT_THAT(read.error().sentence, HasSubstr("[7, 5]"));
}

TEST(CheckpointDirectory, WhatIsNoCheckpointIsSaidSo) {
    const TemporaryDirectory directory;
    auto empty = open_latest(directory.path(), {});
    ASSERT_FALSE(empty);
    EXPECT_EQ(empty.error().kind, FailureKind::not_a_checkpoint);
    EXPECT_THAT(empty.error().sentence, HasSubstr("holds no checkpoint"));
    auto missing = open_latest(directory.path() + "/missing", {});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, FailureKind::not_a_checkpoint);
    EXPECT_THAT(missing.error().sentence, HasSubstr("No such file or directory"));
    std::ofstream{directory.path() + "/file"} << "text";
    auto file = open_latest(directory.path() + "/file", {});
    ASSERT_FALSE(file);
    EXPECT_THAT(file.error().sentence, HasSubstr("is a file and not a directory"));
    // Ours by name only.
    fs::create_directory(directory.path() + "/step-000000000007.g0");
    auto hollow = open_latest(directory.path(), {});
    ASSERT_FALSE(hollow);
    EXPECT_EQ(hollow.error().kind, FailureKind::torn);
}

TEST(CheckpointDirectory, ACheckpointItselfMayBeGiven) {
    const TemporaryDirectory directory;
    const Sample sample = make_sample(3);
    const auto path = sample.write(directory.path(), 1);
    ASSERT_TRUE(path);
    auto opened = open_latest(*path, sample.expectation());
    ASSERT_TRUE(opened) << opened.error().sentence;
    expect_same(opened->reader, sample, 0);
}

TEST(CheckpointDirectory, HDF5PrintsNothingOfItsOwn) {
    const TemporaryDirectory directory;
    const Sample sample = make_sample(3);
    testing::internal::CaptureStderr();
    Hdf5Reader missing{directory.path() + "/missing.h5"};
    EXPECT_FALSE(missing.failure());
    Hdf5Writer refused{directory.path() + "/no/such/folder.h5"};
    refused.attribute("a", 1);
    EXPECT_FALSE(refused.close());
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace phoenix::checkpoint
