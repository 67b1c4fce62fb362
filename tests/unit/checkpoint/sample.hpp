#pragma once
/// A domain's state with known bytes, in memory with padding around it as fields with halos have.

#include "checkpoint/directory.hpp"
#include "checkpoint/reader.hpp"
#include "checkpoint/writer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace phoenix::checkpoint {

/// A directory that goes away with the test.
class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        std::string name = (std::filesystem::temp_directory_path() / "phoenix-checkpoint-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
        path_ = name;
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

/// Extents of VNode v's part of field f.
using ShapeOf = std::function<Extents(std::uint32_t v, std::size_t f)>;

class Sample {
  public:
    struct Part {
        Extents extents{1, 1, 1};
        std::vector<std::byte> memory;
        MutableFieldView view;
    };
    struct VNode {
        std::vector<Part> fields;
        std::vector<std::byte> state;
        std::vector<std::vector<std::byte>> messages;
    };

    CutDescription cut;
    std::vector<VNode> vnodes;

    [[nodiscard]] std::vector<VNodeView> views(PartRange range) const {
        std::vector<VNodeView> all;
        for (std::uint32_t v = range.first; v < range.first + range.count; ++v) {
            VNodeView view;
            for (const Part& part : vnodes[v].fields) {
                view.fields.push_back({part.extents, part.view.data, part.view.strides_bytes});
            }
            view.state = vnodes[v].state;
            for (const auto& message : vnodes[v].messages) view.messages.emplace_back(message);
            all.push_back(std::move(view));
        }
        return all;
    }

    [[nodiscard]] Result<std::string> write(const std::string& directory, std::uint32_t parts,
                                            std::uint32_t kept = 2) const {
        for (std::uint32_t index = 0; index < parts; ++index) {
            const PartRange range = even_part(cut.vnodes, parts, index);
            if (auto written = write_part(directory, cut, range, views(range)); !written) {
                return tl::unexpected(written.error());
            }
        }
        return finish(directory, cut, {.parts = parts, .kept = kept});
    }

    [[nodiscard]] Expectation expectation() const {
        return {.domain = cut.domain, .layout_hash = cut.layout_hash, .vnodes = cut.vnodes, .fields = cut.fields};
    }
};

/// Memory for a part, rows and planes padded unless `padding` is 0, all bytes set to `fill`.
inline Sample::Part make_part(const FieldLayout& layout, const Extents& extents, std::size_t padding, std::byte fill) {
    Sample::Part part;
    part.extents = extents;
    const std::size_t element = layout.type.size_bytes;
    std::size_t total = 0;
    if (layout.rank < 2) {
        total = extents[0] * element;
    } else {
        const std::size_t row = extents[layout.rank - 1] * element + padding * element;
        const std::size_t plane = row * (extents[layout.rank - 2] + padding);
        part.view.strides_bytes =
            layout.rank == 3 ? std::array<std::size_t, 2>{plane, row} : std::array<std::size_t, 2>{row, 0};
        total = layout.rank == 3 ? plane * extents[0] : plane;
    }
    part.memory.assign(total + 1, fill);  // never empty, so that there is an address
    part.view.extents = extents;
    part.view.data = part.memory.data();
    return part;
}

/// The part's bytes without padding.
inline std::vector<std::byte> packed(const FieldLayout& layout, const MutableFieldView& view) {
    std::vector<std::byte> bytes;
    for_each_run(view, layout, [&](const std::byte* run, std::size_t n) { bytes.insert(bytes.end(), run, run + n); });
    return bytes;
}

inline std::vector<FieldLayout> all_kinds_of_fields() {
    return {{.name = "heat", .type = {ElementKind::floating, 8}, .rank = 2},
            {.name = "counts", .type = {ElementKind::signed_integer, 4}, .rank = 1, .resizable = true},
            {.name = "cube", .type = {ElementKind::unsigned_integer, 2}, .rank = 3},
            {.name = "particles", .type = {ElementKind::opaque, 24}, .rank = 1},
            {.name = "residual", .type = {ElementKind::floating, 8}, .rank = 0}};
}

/// Equal shapes but for the resizable field.
inline Extents plain_shape(std::uint32_t v, std::size_t f) {
    switch (f) {
        case 0: return {5, 7, 1};
        case 1: return {v % 6, 1, 1};
        case 2: return {2, 3, 4};
        case 3: return {3, 1, 1};
        default: return {1, 1, 1};
    }
}

inline Sample make_sample(std::uint32_t vnodes, const ShapeOf& shape_of = plain_shape, std::size_t padding = 2,
                          std::uint64_t step = 100, std::uint32_t generation = 0) {
    Sample sample;
    sample.cut = {.domain = "plate",
                  .layout_hash = 0xfeedULL,
                  .lineage = 0xabcdef0123456789ULL,
                  .vnodes = vnodes,
                  .phase = 1,
                  .step = step,
                  .generation = generation,
                  .seed = 42,
                  .fields = all_kinds_of_fields(),
                  .records = {{"phase 0", std::vector<std::byte>(10, std::byte{7})}, {"empty", {}}}};
    std::mt19937_64 random{step * 1000 + generation};
    const auto some_bytes = [&](std::size_t n) {
        std::vector<std::byte> bytes(n);
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
        return bytes;
    };
    for (std::uint32_t v = 0; v < vnodes; ++v) {
        Sample::VNode vnode;
        for (std::size_t f = 0; f < sample.cut.fields.size(); ++f) {
            vnode.fields.push_back(make_part(sample.cut.fields[f], shape_of(v, f), padding, std::byte{0xEE}));
            const auto& part = vnode.fields.back();
            for_each_run(part.view, sample.cut.fields[f], [&](std::byte* run, std::size_t n) {
                for (std::size_t i = 0; i < n; ++i) run[i] = static_cast<std::byte>(random());
            });
        }
        vnode.state = some_bytes(v % 40);
        for (std::uint32_t m = 0; m < v % 4; ++m) vnode.messages.push_back(some_bytes(m * 100));
        sample.vnodes.push_back(std::move(vnode));
    }
    return sample;
}

/// Everything read is what was written, and no byte of padding was touched.
inline void expect_same(CheckpointReader& reader, const Sample& sample, std::size_t padding) {
    const CutDescription& cut = reader.cut();
    EXPECT_EQ(cut.fields, sample.cut.fields);
    EXPECT_EQ(cut.records, sample.cut.records);
    EXPECT_EQ(cut.domain, sample.cut.domain);
    EXPECT_EQ(cut.phase, sample.cut.phase);
    EXPECT_EQ(cut.step, sample.cut.step);
    EXPECT_EQ(cut.generation, sample.cut.generation);
    EXPECT_EQ(cut.seed, sample.cut.seed);
    EXPECT_EQ(cut.lineage, sample.cut.lineage);
    EXPECT_EQ(cut.layout_hash, sample.cut.layout_hash);
    ASSERT_EQ(cut.vnodes, sample.cut.vnodes);
    for (std::uint32_t v = 0; v < cut.vnodes; ++v) {
        const Sample::VNode& vnode = sample.vnodes[v];
        for (std::size_t f = 0; f < cut.fields.size(); ++f) {
            const auto extents = reader.extents(v, f);
            ASSERT_TRUE(extents) << extents.error().sentence;
            ASSERT_EQ(*extents, vnode.fields[f].extents) << "VNode " << v << " field " << f;
            auto into = make_part(cut.fields[f], *extents, padding, std::byte{0x55});
            const auto read = reader.read_field(v, f, into.view);
            ASSERT_TRUE(read) << read.error().sentence;
            const auto bytes = packed(cut.fields[f], into.view);
            ASSERT_EQ(bytes, packed(cut.fields[f], vnode.fields[f].view)) << "VNode " << v << " field " << f;
            for_each_run(into.view, cut.fields[f],
                         [](std::byte* run, std::size_t n) { std::fill(run, run + n, std::byte{0x55}); });
            const auto strangers = std::count_if(into.memory.begin(), into.memory.end(),
                                                 [](std::byte byte) { return byte != std::byte{0x55}; });
            ASSERT_EQ(strangers, 0) << "padding overwritten";
        }
        const auto state = reader.state(v);
        ASSERT_TRUE(state) << state.error().sentence;
        ASSERT_EQ(*state, vnode.state);
        const auto messages = reader.messages(v);
        ASSERT_TRUE(messages) << messages.error().sentence;
        ASSERT_EQ(*messages, vnode.messages);
    }
}

}  // namespace phoenix::checkpoint
