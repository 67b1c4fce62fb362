#include "checkpoint/reader.hpp"

#include "checkpoint/digest.hpp"
#include "checkpoint/directory.hpp"
#include "checkpoint/master_file.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>

namespace phoenix::checkpoint {

namespace {

struct Part {
    FileDescriptor file;
    PartTables tables;
};

std::string describe(const FieldLayout& field) {
    return fmt::format("{} {} of rank {}{}", name_of(field.type), field.name, field.rank,
                       field.resizable ? ", resizable" : "");
}

Result<void> compare_fields(const std::string& path, const std::vector<FieldLayout>& there,
                            const std::vector<FieldLayout>& expected) {
    const auto refuse = [&](const std::string& what) {
        return fail(
            FailureKind::other_layout,
            fmt::format("checkpoint '{}' does not fit this program: {}; restart with the program that wrote it, "
                        "or start afresh in another directory",
                        path, what));
    };
    for (const FieldLayout& field : expected) {
        const auto same = std::find_if(there.begin(), there.end(),
                                       [&](const FieldLayout& other) { return other.name == field.name; });
        if (same == there.end()) return refuse(fmt::format("it has no field '{}'", field.name));
        if (*same != field) {
            return refuse(
                fmt::format("its field '{}' is {}, the program's is {}", field.name, describe(*same), describe(field)));
        }
    }
    if (there.size() != expected.size()) {
        return refuse(fmt::format("it has {} fields, the program {}", there.size(), expected.size()));
    }
    if (there != expected) return refuse("the program declares its fields in another order");
    return {};
}

Result<void> compare(const std::string& path, const CutDescription& cut, const Expectation& expected) {
    if (expected.domain && *expected.domain != cut.domain) {
        return fail(FailureKind::other_domain,
                    fmt::format("checkpoint '{}' is of domain '{}', the program's is '{}'; give the directory that the "
                                "program wrote",
                                path, cut.domain, *expected.domain));
    }
    if (expected.vnodes && *expected.vnodes != cut.vnodes) {
        return fail(FailureKind::other_layout,
                    fmt::format("checkpoint '{}' has {} VNodes, the program {}; the number of VNodes is fixed for the "
                                "life of a job: restart with {}",
                                path, cut.vnodes, *expected.vnodes, cut.vnodes));
    }
    if (expected.fields) {
        if (auto same = compare_fields(path, cut.fields, *expected.fields); !same) return same;
    }
    if (expected.layout_hash && *expected.layout_hash != cut.layout_hash) {
        return fail(FailureKind::other_layout,
                    fmt::format("checkpoint '{}' was written by another program or with other parameters (layout {}, "
                                "expected {}); restart with those it was written with",
                                path, hex(cut.layout_hash), hex(*expected.layout_hash)));
    }
    return {};
}

}  // namespace

struct CheckpointReader::Impl {
    std::string path;
    Manifest manifest;
    std::vector<std::optional<Part>> parts;  // opened when first needed

    [[nodiscard]] const CutDescription& cut() const noexcept { return manifest.cut; }
    [[nodiscard]] std::size_t sections() const noexcept { return cut().fields.size() + 2; }
    [[nodiscard]] std::string path_of(std::size_t part) const { return join(path, manifest.parts[part].name); }

    [[nodiscard]] std::string section_name(std::size_t section) const {
        if (section < cut().fields.size()) return "field '" + cut().fields[section].name + "'";
        return section == cut().fields.size() ? "the state" : "the messages";
    }

    [[nodiscard]] tl::unexpected<Failure> differs(std::size_t part, std::uint32_t vnode, std::size_t section) const {
        return fail(FailureKind::corrupt,
                    fmt::format("VNode {}'s part of {} in '{}' differs from what was written; use an earlier "
                                "checkpoint, or a copy of the file",
                                vnode, section_name(section), path_of(part)));
    }

    [[nodiscard]] std::size_t part_of(std::uint32_t vnode) const {
        const auto& all = manifest.parts;
        const auto after = std::upper_bound(
            all.begin(), all.end(), vnode, [](std::uint32_t v, const FileEntry& part) { return v < part.first_vnode; });
        return static_cast<std::size_t>(after - all.begin()) - 1;
    }

    /// Compares everything that HDF5 would interpret with its digest, before HDF5 sees it: the library is not made for
    /// damaged files.
    Result<FileDescriptor> open_verified(const FileEntry& entry) const {
        const std::string name = join(path, entry.name);
        auto file = open_to_read(name);
        if (!file) return file;
        const auto digest = digest_without(*file, name, entry.bytes, data_of(entry));
        if (!digest) return tl::unexpected(digest.error());
        if (*digest != entry.digest) {
            return fail(FailureKind::corrupt, fmt::format("'{}' differs from what was written (outside of the data of "
                                                          "VNodes); use an earlier checkpoint, or a copy of the file",
                                                          name));
        }
        return file;
    }

    Result<Part*> part(std::size_t index) {
        auto& slot = parts[index];
        if (slot) return &*slot;
        const FileEntry& entry = manifest.parts[index];
        auto file = open_verified(entry);
        if (!file) return tl::unexpected(file.error());
        auto tables = read_part_tables(path_of(index), cut());
        if (!tables) return tl::unexpected(tables.error());
        if (tables->data != entry.data || tables->range.first != entry.first_vnode ||
            tables->range.count != entry.vnodes) {
            return fail(FailureKind::corrupt, fmt::format("'{}' and the manifest disagree", path_of(index)));
        }
        for (std::uint32_t local = 0; local < entry.vnodes; ++local) {
            const std::span row{&tables->section_digests[local * sections()], sections()};
            if (digest_of(std::as_bytes(row)) != tables->digests[local]) {
                return fail(FailureKind::corrupt, fmt::format("the digests in '{}' disagree", path_of(index)));
            }
        }
        slot.emplace(Part{std::move(*file), std::move(*tables)});
        return &*slot;
    }

    Result<std::vector<std::byte>> read_bytes(std::uint32_t vnode, std::size_t section) {
        const std::size_t index = part_of(vnode);
        const auto own = part(index);
        if (!own) return tl::unexpected(own.error());
        const PartTables& tables = (*own)->tables;
        const std::uint32_t local = vnode - tables.range.first;
        const ByteRange place = tables.place(cut(), local, section);
        std::vector<std::byte> bytes(place.bytes);
        if (auto read = read_at((*own)->file, path_of(index), place.offset, bytes); !read) {
            return tl::unexpected(read.error());
        }
        if (digest_of(bytes) != tables.section_digests[local * sections() + section]) {
            return differs(index, vnode, section);
        }
        return bytes;
    }

    Result<void> verify_section(std::size_t index, std::size_t section);
};

/// In one go through the file, however small the VNodes' pieces are.
Result<void> CheckpointReader::Impl::verify_section(std::size_t index, std::size_t section) {
    const auto own = part(index);
    if (!own) return tl::unexpected(own.error());
    const PartTables& tables = (*own)->tables;
    const ByteRange data = tables.data[section];
    std::vector<std::byte> buffer(std::size_t{512} << 10U);
    std::span<const std::byte> ahead;
    std::uint64_t position = data.offset;
    Digest digest;
    for (std::uint32_t local = 0; local < tables.range.count; ++local) {
        digest.reset();
        if (section < cut().fields.size()) {
            const auto prefix = digest_prefix(tables.shapes[section].of(local), cut().fields[section].rank);
            digest.update(prefix.data(), prefix.size() * sizeof prefix[0]);
        }
        std::uint64_t left = tables.place(cut(), local, section).bytes;
        while (left > 0) {
            if (ahead.empty()) {
                const std::span<std::byte> block{
                    buffer.data(), std::min<std::uint64_t>(buffer.size(), data.offset + data.bytes - position)};
                if (auto read = read_at((*own)->file, path_of(index), position, block); !read) return read;
                position += block.size();
                ahead = block;
            }
            const std::size_t piece = std::min<std::uint64_t>(left, ahead.size());
            digest.update(ahead.data(), piece);
            ahead = ahead.subspan(piece);
            left -= piece;
        }
        if (digest.value() != tables.section_digests[local * sections() + section]) {
            return differs(index, tables.range.first + local, section);
        }
    }
    return {};
}

CheckpointReader::CheckpointReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CheckpointReader::CheckpointReader(CheckpointReader&&) noexcept = default;
CheckpointReader& CheckpointReader::operator=(CheckpointReader&&) noexcept = default;
CheckpointReader::~CheckpointReader() = default;

const std::string& CheckpointReader::path() const noexcept { return impl_->path; }
const CutDescription& CheckpointReader::cut() const noexcept { return impl_->manifest.cut; }

Result<CheckpointReader> CheckpointReader::open(const std::string& path, const Expectation& expected,
                                                Verification verification) {
    auto manifest = load_manifest(path);
    if (!manifest) return tl::unexpected(manifest.error());
    if (auto same = compare(path, manifest->cut, expected); !same) return tl::unexpected(same.error());
    auto impl = std::make_unique<Impl>();
    impl->path = path;
    impl->manifest = std::move(*manifest);
    impl->parts.resize(impl->manifest.parts.size());
    if (auto master = impl->open_verified(impl->manifest.master); !master) return tl::unexpected(master.error());
    auto records = read_records(join(path, master_name));
    if (!records) return tl::unexpected(records.error());
    impl->manifest.cut.records = std::move(*records);
    for (std::size_t i = 0; i < impl->parts.size(); ++i) {
        if (auto part = impl->part(i); !part) return tl::unexpected(part.error());
    }
    CheckpointReader reader{std::move(impl)};
    if (verification == Verification::everything) {
        if (auto verified = reader.verify(); !verified) return tl::unexpected(verified.error());
    }
    return reader;
}

Result<Extents> CheckpointReader::extents(std::uint32_t vnode, std::size_t field) {
    return impl_->part(impl_->part_of(vnode)).map([&](const Part* part) {
        return part->tables.shapes[field].of(vnode - part->tables.range.first);
    });
}

Result<void> CheckpointReader::read_field(std::uint32_t vnode, std::size_t field, const MutableFieldView& into) {
    const std::size_t index = impl_->part_of(vnode);
    const auto part = impl_->part(index);
    if (!part) return tl::unexpected(part.error());
    const PartTables& tables = (*part)->tables;
    const std::uint32_t local = vnode - tables.range.first;
    const FieldLayout& layout = cut().fields[field];
    const Extents stored = tables.shapes[field].of(local);
    if (stored != into.extents) {
        return fail(FailureKind::other_layout,
                    fmt::format("VNode {}'s part of field '{}' has shape [{}] in checkpoint '{}', the program gives it "
                                "[{}]; restart with the parameters it was written with",
                                vnode, layout.name, fmt::join(stored.begin(), stored.begin() + layout.rank, ", "),
                                path(), fmt::join(into.extents.begin(), into.extents.begin() + layout.rank, ", ")));
    }
    std::vector<iovec> runs;
    for_each_run(into, layout, [&](std::byte* run, std::size_t bytes) { runs.push_back({run, bytes}); });
    const ByteRange place = tables.place(cut(), local, field);
    if (auto read = read_at((*part)->file, impl_->path_of(index), place.offset, runs); !read) return read;
    Digest digest;
    const auto prefix = digest_prefix(stored, layout.rank);
    digest.update(prefix.data(), prefix.size() * sizeof prefix[0]);
    for_each_run(into, layout, [&](const std::byte* run, std::size_t bytes) { digest.update(run, bytes); });
    if (digest.value() != tables.section_digests[local * impl_->sections() + field]) {
        return impl_->differs(index, vnode, field);
    }
    return {};
}

Result<std::vector<std::byte>> CheckpointReader::state(std::uint32_t vnode) {
    return impl_->read_bytes(vnode, cut().fields.size());
}

Result<std::vector<std::vector<std::byte>>> CheckpointReader::messages(std::uint32_t vnode) {
    const auto bytes = impl_->read_bytes(vnode, cut().fields.size() + 1);
    if (!bytes) return tl::unexpected(bytes.error());
    std::vector<std::vector<std::byte>> messages;
    std::span<const std::byte> rest{*bytes};
    while (!rest.empty()) {
        std::uint64_t size = 0;
        if (rest.size() >= sizeof size) std::memcpy(&size, rest.data(), sizeof size);
        if (rest.size() < sizeof size || size > rest.size() - sizeof size) {
            return impl_->differs(impl_->part_of(vnode), vnode, cut().fields.size() + 1);
        }
        const auto message = rest.subspan(sizeof size, size);
        messages.emplace_back(message.begin(), message.end());
        rest = rest.subspan(sizeof size + size);
    }
    return messages;
}

Result<std::uint64_t> CheckpointReader::digest(std::uint32_t vnode) {
    return impl_->part(impl_->part_of(vnode)).map([&](const Part* part) {
        return part->tables.digests[vnode - part->tables.range.first];
    });
}

Result<void> CheckpointReader::verify() {
    for (std::size_t part = 0; part < impl_->parts.size(); ++part) {
        for (std::size_t section = 0; section < impl_->sections(); ++section) {
            if (auto verified = impl_->verify_section(part, section); !verified) return verified;
        }
    }
    return {};
}

Result<Opened> open_latest(const std::string& directory, const Expectation& expected, Verification verification) {
    if (exists(join(directory, manifest_name))) {
        return CheckpointReader::open(directory, expected, verification).map([](CheckpointReader&& reader) {
            return Opened{std::move(reader), {}};
        });
    }
    const auto entries = entries_of(directory);
    if (!entries) return tl::unexpected(entries.error());
    std::vector<Failure> skipped;
    for (const Entry& entry : *entries) {
        if (entry.state != EntryState::complete) continue;
        auto reader = CheckpointReader::open(join(directory, name_of(entry)), expected, verification);
        if (reader) return Opened{std::move(*reader), std::move(skipped)};
        const FailureKind kind = reader.error().kind;
        if (kind != FailureKind::torn && kind != FailureKind::corrupt) return tl::unexpected(reader.error());
        skipped.push_back(std::move(reader.error()));
    }
    if (!skipped.empty()) {
        return fail(skipped.front().kind,
                    fmt::format("no checkpoint in '{}' can be used: {}; start afresh, or from a copy", directory,
                                skipped.front().sentence));
    }
    if (!entries->empty()) {
        return fail(
            FailureKind::torn,
            fmt::format("'{}' holds only the torn checkpoint '{}', whose writer died before it was complete; start "
                        "afresh without --restart",
                        directory, name_of(entries->front())));
    }
    return fail(FailureKind::not_a_checkpoint,
                fmt::format("'{}' holds no checkpoint; give the directory that was given to --checkpoint", directory));
}

}  // namespace phoenix::checkpoint
