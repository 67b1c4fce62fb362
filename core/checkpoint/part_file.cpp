#include "checkpoint/part_file.hpp"

#include "checkpoint/digest.hpp"
#include "checkpoint/directory.hpp"
#include "checkpoint/hdf5_file.hpp"
#include "checkpoint/manifest.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <utility>

namespace phoenix::checkpoint {

FieldShapes::FieldShapes(unsigned rank, std::uint32_t count, std::vector<std::uint64_t> extents)
    : rank_(rank), count_(count), extents_(std::move(extents)) {
    for (std::size_t i = rank_; equal_ && i < extents_.size(); ++i) equal_ = extents_[i] == extents_[i - rank_];
    if (equal_) {
        extents_.resize(std::min<std::size_t>(extents_.size(), rank_));
        return;
    }
    first_elements_.reserve(std::size_t{count_} + 1);
    std::uint64_t next = 0;
    for (std::uint32_t local = 0; local < count_; ++local) {
        first_elements_.push_back(next);
        next += elements_of(of(local));
    }
    first_elements_.push_back(next);
}

Extents FieldShapes::of(std::uint32_t local) const noexcept {
    Extents extents{1, 1, 1};
    const std::size_t row = equal_ ? 0 : std::size_t{local} * rank_;
    for (unsigned i = 0; i < rank_; ++i) extents[i] = extents_[row + i];
    return extents;
}

std::uint64_t FieldShapes::first_element(std::uint32_t local) const noexcept {
    return equal_ ? local * elements_of(of(0)) : first_elements_[local];
}

ByteRange PartTables::place(const CutDescription& cut, std::uint32_t local, std::size_t section) const noexcept {
    const std::size_t fields = cut.fields.size();
    if (section < fields) {
        const std::uint64_t element = cut.fields[section].type.size_bytes;
        return {data[section].offset + shapes[section].first_element(local) * element,
                elements_of(shapes[section].of(local)) * element};
    }
    const auto& offsets = section == fields ? state_offsets : message_offsets;
    return {data[section].offset + offsets[local], offsets[local + 1] - offsets[local]};
}

std::vector<std::uint64_t> digest_prefix(const Extents& extents, unsigned rank) {
    return {extents.begin(), extents.begin() + rank};
}

namespace {

/// Bytes of one section on their way to the file: small pieces are gathered, and each block is digested while it is
/// in the cache.
class SectionWriter {
  public:
    SectionWriter(const FileDescriptor& file, const std::string& path, std::uint64_t offset)
        : file_(file), path_(path), offset_(offset) {
        buffer_.reserve(block_bytes);
    }

    Digest& digest() noexcept { return digest_; }

    void append(const void* data, std::size_t bytes) {
        const auto* from = static_cast<const std::byte*>(data);
        while (bytes > 0 && result_) {
            const std::size_t piece = std::min(bytes, block_bytes - buffer_.size());
            digest_.update(from, piece);
            if (buffer_.empty() && piece == block_bytes) {
                put({from, piece});
            } else {
                buffer_.insert(buffer_.end(), from, from + piece);
                if (buffer_.size() == block_bytes) flush();
            }
            from += piece;
            bytes -= piece;
        }
    }

    Result<void> finish() {
        flush();
        return result_;
    }

  private:
    static constexpr std::size_t block_bytes = std::size_t{512} << 10U;

    void flush() {
        if (!buffer_.empty()) put(buffer_);
        buffer_.clear();
    }

    void put(std::span<const std::byte> bytes) {
        if (!result_) return;
        result_ = write_at(file_, path_, offset_, bytes);
        offset_ += bytes.size();
    }

    const FileDescriptor& file_;
    const std::string& path_;
    std::uint64_t offset_;
    Digest digest_;
    std::vector<std::byte> buffer_;
    Result<void> result_;
};

Result<void> check_views(const CutDescription& cut, PartRange range, std::span<const VNodeView> vnodes) {
    const auto refuse = [](std::string sentence) { return fail(FailureKind::invalid_argument, std::move(sentence)); };
    if (range.count == 0 || range.count > cut.vnodes || range.first > cut.vnodes - range.count) {
        return refuse(
            fmt::format("part {} of domain '{}' is no range of its {} VNodes", range.index, cut.domain, cut.vnodes));
    }
    if (vnodes.size() != range.count) {
        return refuse(fmt::format("part {} of domain '{}' has {} VNodes, {} were given", range.index, cut.domain,
                                  range.count, vnodes.size()));
    }
    for (std::size_t local = 0; local < vnodes.size(); ++local) {
        const VNodeView& vnode = vnodes[local];
        if (vnode.fields.size() != cut.fields.size()) {
            return refuse(fmt::format("VNode {} has {} fields instead of {}", range.first + local, vnode.fields.size(),
                                      cut.fields.size()));
        }
        for (std::size_t f = 0; f < cut.fields.size(); ++f) {
            for (unsigned i = cut.fields[f].rank; i < rank_max; ++i) {
                if (vnode.fields[f].extents[i] == 1) continue;
                return refuse(fmt::format("VNode {}'s part of field '{}' has more dimensions than the field",
                                          range.first + local, cut.fields[f].name));
            }
        }
    }
    return {};
}

PartTables tables_of(const CutDescription& cut, PartRange range, std::span<const VNodeView> vnodes) {
    PartTables tables;
    tables.range = range;
    for (std::size_t f = 0; f < cut.fields.size(); ++f) {
        const unsigned rank = cut.fields[f].rank;
        std::vector<std::uint64_t> extents;
        extents.reserve(vnodes.size() * rank);
        for (const VNodeView& vnode : vnodes) {
            const auto& own = vnode.fields[f].extents;
            extents.insert(extents.end(), own.begin(), own.begin() + rank);
        }
        tables.shapes.emplace_back(rank, range.count, std::move(extents));
    }
    tables.state_offsets.push_back(0);
    tables.message_offsets.push_back(0);
    for (const VNodeView& vnode : vnodes) {
        tables.state_offsets.push_back(tables.state_offsets.back() + vnode.state.size());
        std::uint64_t bytes = 0;
        for (const auto& message : vnode.messages) bytes += sizeof(std::uint64_t) + message.size();
        tables.message_offsets.push_back(tables.message_offsets.back() + bytes);
    }
    return tables;
}

/// Where the digests go: known only after the data has been through, so written to their place at the end.
struct DigestPlaces {
    ByteRange vnodes;
    ByteRange sections;
};

Result<DigestPlaces> write_structure(const std::string& path, const CutDescription& cut, PartTables& tables) {
    constexpr ElementType bytes{ElementKind::unsigned_integer, 1};
    constexpr ElementType numbers{ElementKind::unsigned_integer, 8};
    const PartRange range = tables.range;
    Hdf5Writer file{path};
    file.attribute("format_version", format_version);
    file.attribute("domain", cut.domain);
    file.attribute("layout_hash", cut.layout_hash);
    file.attribute("lineage", cut.lineage);
    file.attribute("vnodes", cut.vnodes);
    file.attribute("phase", cut.phase);
    file.attribute("step", cut.step);
    file.attribute("generation", cut.generation);
    file.attribute("part", range.index);
    file.attribute("part_first_vnode", range.first);
    file.attribute("part_vnodes", range.count);
    for (std::size_t f = 0; f < cut.fields.size(); ++f) {
        const FieldLayout& field = cut.fields[f];
        const FieldShapes& shapes = tables.shapes[f];
        file.numbers("shapes/" + field.name, shapes.extents(), {shapes.equal() ? 1 : range.count, field.rank});
        tables.data.push_back(file.reserve("fields/" + field.name, field.type, shapes.elements()));
    }
    file.numbers("state.offsets", tables.state_offsets, {tables.state_offsets.size()});
    file.numbers("messages.offsets", tables.message_offsets, {tables.message_offsets.size()});
    tables.data.push_back(file.reserve("state", bytes, tables.state_offsets.back()));
    tables.data.push_back(file.reserve("messages", bytes, tables.message_offsets.back()));
    DigestPlaces places;
    places.vnodes = file.reserve("digests", numbers, range.count);
    places.sections = file.reserve("section_digests", numbers, range.count * (cut.fields.size() + 2));
    if (auto closed = file.close(); !closed) return tl::unexpected(closed.error());
    return places;
}

void append_section(SectionWriter& writer, const CutDescription& cut, const VNodeView& vnode, std::size_t section) {
    if (section < cut.fields.size()) {
        const FieldLayout& layout = cut.fields[section];
        const FieldView& view = vnode.fields[section];
        const auto prefix = digest_prefix(view.extents, layout.rank);
        writer.digest().update(prefix.data(), prefix.size() * sizeof prefix[0]);
        for_each_run(view, layout, [&](const std::byte* run, std::size_t bytes) { writer.append(run, bytes); });
        return;
    }
    if (section == cut.fields.size()) {
        writer.append(vnode.state.data(), vnode.state.size());
        return;
    }
    for (const auto& message : vnode.messages) {
        const std::uint64_t bytes = message.size();
        writer.append(&bytes, sizeof bytes);
        writer.append(message.data(), message.size());
    }
}

Result<void> write_data(const std::string& path, const CutDescription& cut, PartTables& tables,
                        std::span<const VNodeView> vnodes, const DigestPlaces& places) {
    const auto file = open_to_write(path);
    if (!file) return tl::unexpected(file.error());
    const std::size_t sections = cut.fields.size() + 2;
    tables.section_digests.resize(vnodes.size() * sections);
    for (std::size_t section = 0; section < sections; ++section) {
        SectionWriter writer{*file, path, tables.data[section].offset};
        for (std::size_t local = 0; local < vnodes.size(); ++local) {
            writer.digest().reset();
            append_section(writer, cut, vnodes[local], section);
            tables.section_digests[local * sections + section] = writer.digest().value();
        }
        if (auto done = writer.finish(); !done) return done;
    }
    for (std::size_t local = 0; local < vnodes.size(); ++local) {
        const std::span row{&tables.section_digests[local * sections], sections};
        tables.digests.push_back(digest_of(std::as_bytes(row)));
    }
    return write_at(*file, path, places.sections.offset, std::as_bytes(std::span{tables.section_digests}))
        .and_then(
            [&] { return write_at(*file, path, places.vnodes.offset, std::as_bytes(std::span{tables.digests})); });
}

}  // namespace

Result<void> write_part_file(const std::string& path, const CutDescription& cut, PartRange range,
                             std::span<const VNodeView> vnodes) {
    if (auto checked = check_views(cut, range, vnodes); !checked) return checked;
    PartTables tables = tables_of(cut, range, vnodes);
    const std::string temporary = temporary_name(path);
    auto done =
        write_structure(temporary, cut, tables)
            .and_then([&](const DigestPlaces& places) { return write_data(temporary, cut, tables, vnodes, places); })
            .and_then([&] { return sync(temporary); })
            .and_then([&] { return rename(temporary, path); });
    if (!done) remove_file(temporary);
    return done;
}

namespace {

bool is_offsets(const std::vector<std::uint64_t>& offsets, std::uint32_t count, std::uint64_t total) {
    return offsets.size() == std::size_t{count} + 1 && offsets.front() == 0 && offsets.back() == total &&
           std::is_sorted(offsets.begin(), offsets.end());
}

/// False where the product of the extents, or their sum over VNodes, does not fit: then first_element would lie.
bool plausible(const FieldLayout& field, std::uint32_t count, const std::vector<std::uint64_t>& extents) {
    if (count == 0) return false;
    if (extents.size() != field.rank && extents.size() != std::size_t{count} * field.rank) return false;
    const std::uint64_t repeats = extents.size() == field.rank ? count : 1;
    const std::uint64_t limit = std::numeric_limits<std::int64_t>::max() / field.type.size_bytes / repeats;
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < extents.size(); i += field.rank) {
        std::uint64_t product = 1;
        for (unsigned d = 0; d < field.rank; ++d) {
            const std::uint64_t extent = extents[i + d];
            if (extent != 0 && product > limit / extent) return false;
            product *= extent;
        }
        if (product > limit - sum) return false;
        sum += product;
    }
    return true;
}

}  // namespace

Result<PartTables> read_part_tables(const std::string& path, const CutDescription& cut) {
    Hdf5Reader file{path};
    PartTables tables;
    const auto small = [&](const char* name) { return static_cast<std::uint32_t>(file.attribute(name)); };
    tables.range = {small("part"), small("part_first_vnode"), small("part_vnodes")};
    const bool same = file.text_attribute("domain") == cut.domain && file.attribute("layout_hash") == cut.layout_hash &&
                      file.attribute("lineage") == cut.lineage && file.attribute("vnodes") == cut.vnodes &&
                      file.attribute("step") == cut.step && file.attribute("generation") == cut.generation;
    if (auto read = file.failure(); !read) return tl::unexpected(read.error());
    if (!same) return fail(FailureKind::torn, fmt::format("'{}' is a part of another cut", path));

    const auto broken = [&](const std::string& what) {
        return fail(FailureKind::corrupt, fmt::format("'{}' is damaged: its {} do not fit its data", path, what));
    };
    const std::uint32_t count = tables.range.count;
    for (const FieldLayout& field : cut.fields) {
        std::vector<std::uint64_t> extents = file.numbers("shapes/" + field.name);
        tables.data.push_back(file.range("fields/" + field.name));
        if (file.failure() && !plausible(field, count, extents)) return broken("shapes of field '" + field.name + "'");
        if (!file.failure()) break;
        tables.shapes.emplace_back(field.rank, count, std::move(extents));
        if (tables.shapes.back().elements() * field.type.size_bytes != tables.data.back().bytes) {
            return broken("shapes of field '" + field.name + "'");
        }
    }
    tables.state_offsets = file.numbers("state.offsets");
    tables.message_offsets = file.numbers("messages.offsets");
    tables.data.push_back(file.range("state"));
    tables.data.push_back(file.range("messages"));
    tables.digests = file.numbers("digests");
    tables.section_digests = file.numbers("section_digests");
    if (auto read = file.failure(); !read) return tl::unexpected(read.error());
    const std::size_t fields = cut.fields.size();
    if (!is_offsets(tables.state_offsets, count, tables.data[fields].bytes)) return broken("state offsets");
    if (!is_offsets(tables.message_offsets, count, tables.data[fields + 1].bytes)) return broken("message offsets");
    if (tables.digests.size() != count || tables.section_digests.size() != count * (fields + 2)) {
        return broken("digests");
    }
    return tables;
}

}  // namespace phoenix::checkpoint
