#include "checkpoint/master_file.hpp"

#include "checkpoint/directory.hpp"
#include "checkpoint/hdf5_file.hpp"
#include "checkpoint/manifest.hpp"

#include <fmt/format.h>
#include <optional>

namespace phoenix::checkpoint {

namespace {

/// Calls visit(extents) for VNodes 0..V-1.
template <typename Visit>
void for_each_shape(std::span<const PartTables> parts, std::size_t field, Visit&& visit) {
    for (const PartTables& part : parts) {
        for (std::uint32_t local = 0; local < part.range.count; ++local) visit(part.shapes[field].of(local));
    }
}

/// How one field is shown.
struct View {
    std::vector<std::uint64_t> extents;  ///< Of the joined dataset.
    std::vector<std::uint64_t> offsets;  ///< Along its first axis, [V + 1]; empty where that axis is the VNode.
    std::vector<std::uint64_t> shapes;   ///< [V, rank], where `extents` and `offsets` do not tell them.
};

View view_of(const FieldLayout& field, std::span<const PartTables> parts, std::size_t f, std::uint32_t vnodes) {
    std::optional<Extents> first;
    std::optional<Extents> first_with_rows;
    bool equal = true;
    bool same_rows = true;
    for_each_shape(parts, f, [&](const Extents& shape) {
        if (!first) first = shape;
        equal = equal && shape == *first;
        if (shape[0] == 0) return;  // adds no rows, whatever the other extents
        if (!first_with_rows) first_with_rows = shape;
        same_rows = same_rows && shape[1] == (*first_with_rows)[1] && shape[2] == (*first_with_rows)[2];
    });
    View view;
    if (equal && !field.resizable) {
        view.extents.push_back(vnodes);
        view.extents.insert(view.extents.end(), first->begin(), first->begin() + field.rank);
        return view;
    }
    view.offsets.push_back(0);
    for_each_shape(parts, f, [&](const Extents& shape) {
        view.offsets.push_back(view.offsets.back() + (same_rows ? shape[0] : elements_of(shape)));
        if (!same_rows) view.shapes.insert(view.shapes.end(), shape.begin(), shape.begin() + field.rank);
    });
    view.extents.push_back(view.offsets.back());
    if (same_rows) {
        const Extents rows = first_with_rows.value_or(*first);
        view.extents.insert(view.extents.end(), rows.begin() + 1, rows.begin() + field.rank);
    }
    return view;
}

void write_field(Hdf5Writer& file, const CutDescription& cut, std::span<const PartTables> parts, std::size_t f) {
    const FieldLayout& field = cut.fields[f];
    const std::string name = "fields/" + field.name;
    const View view = view_of(field, parts, f, cut.vnodes);
    std::vector<JoinedPart> joined;
    for (const PartTables& part : parts) {
        const std::uint64_t elements = part.shapes[f].elements();
        if (elements == 0) continue;
        std::uint64_t first = part.range.first;
        std::uint64_t end = first + part.range.count;
        if (!view.offsets.empty()) {
            first = view.offsets[first];
            end = view.offsets[end];
        }
        joined.push_back({part_name(part.range.index), elements, first, end - first});
    }
    file.joined(name, field.type, view.extents, joined);
    if (!view.offsets.empty()) file.numbers(name + ".offsets", view.offsets, {view.offsets.size()});
    if (!view.shapes.empty()) file.numbers(name + ".shapes", view.shapes, {cut.vnodes, field.rank});
}

void write_bytes(Hdf5Writer& file, const std::string& name, std::span<const PartTables> parts,
                 std::vector<std::uint64_t> PartTables::*part_offsets) {
    std::vector<std::uint64_t> offsets{0};
    std::vector<JoinedPart> joined;
    for (const PartTables& part : parts) {
        const std::uint64_t first = offsets.back();
        const auto& own = part.*part_offsets;
        for (std::size_t i = 1; i < own.size(); ++i) offsets.push_back(first + own[i]);
        if (own.back() > 0) joined.push_back({part_name(part.range.index), own.back(), first, own.back()});
    }
    file.joined(name, {ElementKind::unsigned_integer, 1}, {offsets.back()}, joined);
    file.numbers(name + ".offsets", offsets, {offsets.size()});
}

void write_records(Hdf5Writer& file, const std::vector<Record>& records) {
    std::vector<std::string> names;
    std::vector<std::uint64_t> offsets{0};
    std::vector<std::byte> bytes;
    for (const Record& record : records) {
        names.push_back(record.name);
        bytes.insert(bytes.end(), record.bytes.begin(), record.bytes.end());
        offsets.push_back(bytes.size());
    }
    file.strings("records/names", names);
    file.numbers("records/offsets", offsets, {offsets.size()});
    file.bytes("records/bytes", bytes);
}

}  // namespace

Result<void> write_master_file(const std::string& path, const CutDescription& cut, std::span<const PartTables> parts) {
    const std::string temporary = temporary_name(path);
    Hdf5Writer file{temporary};
    file.attribute("format_version", format_version);
    file.attribute("library_version", std::string{PHOENIX_VERSION});
    file.attribute("domain", cut.domain);
    file.attribute("layout_hash", cut.layout_hash);
    file.attribute("vnodes", cut.vnodes);
    file.attribute("phase", cut.phase);
    file.attribute("step", cut.step);
    file.attribute("generation", cut.generation);
    file.attribute("seed", cut.seed);
    for (std::size_t f = 0; f < cut.fields.size(); ++f) write_field(file, cut, parts, f);
    write_bytes(file, "state", parts, &PartTables::state_offsets);
    write_bytes(file, "messages", parts, &PartTables::message_offsets);
    std::vector<JoinedPart> digests;
    for (const PartTables& part : parts) {
        digests.push_back({part_name(part.range.index), part.range.count, part.range.first, part.range.count});
    }
    file.joined("digests", {ElementKind::unsigned_integer, 8}, {cut.vnodes}, digests);
    write_records(file, cut.records);
    auto done =
        file.close().and_then([&] { return sync(temporary); }).and_then([&] { return rename(temporary, path); });
    if (!done) remove_file(temporary);
    return done;
}

Result<std::vector<Record>> read_records(const std::string& path) {
    Hdf5Reader file{path};
    const std::vector<std::string> names = file.strings("records/names");
    const std::vector<std::uint64_t> offsets = file.numbers("records/offsets");
    const std::vector<std::byte> bytes = file.bytes("records/bytes");
    if (auto read = file.failure(); !read) return tl::unexpected(read.error());
    std::vector<Record> records;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i + 1 >= offsets.size() || offsets[i] > offsets[i + 1] || offsets[i + 1] > bytes.size()) {
            return fail(FailureKind::corrupt, fmt::format("'{}' is damaged: its records overlap", path));
        }
        const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(offsets[i]);
        const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(offsets[i + 1]);
        records.push_back({names[i], {begin, end}});
    }
    return records;
}

}  // namespace phoenix::checkpoint
