#include "checkpoint/writer.hpp"

#include "checkpoint/directory.hpp"
#include "checkpoint/manifest.hpp"
#include "checkpoint/master_file.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <set>

namespace phoenix::checkpoint {

namespace {

Entry entry_of(const CutDescription& cut, EntryState state) { return {{cut.generation, cut.step}, state}; }

Result<void> make_partial(const std::string& directory, const std::string& partial, std::uint64_t lineage) {
    if (auto made = create_directories(partial); !made) return made;
    if (!may_belong_to(partial, lineage)) {
        return fail(FailureKind::superseded,
                    fmt::format("another run writes or left a checkpoint of the same generation and step in '{}'; give "
                                "each run a directory of its own, or remove '{}' if that run is dead",
                                directory, partial));
    }
    return create_empty(join(partial, lineage_name(lineage)));
}

Result<FileEntry> describe(const std::string& partial, const std::string& name, std::vector<ByteRange> data) {
    const std::string path = join(partial, name);
    FileEntry entry;
    entry.name = name;
    entry.data = std::move(data);
    const auto file = open_to_read(path);
    if (!file) return tl::unexpected(file.error());
    const auto bytes = size_of(*file, path);
    if (!bytes) return tl::unexpected(bytes.error());
    entry.bytes = *bytes;
    const auto digest = digest_without(*file, path, *bytes, data_of(entry));
    if (!digest) return tl::unexpected(digest.error());
    entry.digest = *digest;
    return entry;
}

Result<std::vector<PartTables>> gather_parts(const std::string& partial, const CutDescription& cut,
                                             std::uint32_t parts) {
    std::vector<PartTables> all;
    std::uint64_t next = 0;
    for (std::uint32_t index = 0; index < parts; ++index) {
        const std::string path = join(partial, part_name(index));
        if (!exists(path)) {
            return fail(FailureKind::torn, fmt::format("part {} of {} is missing in '{}'", index, parts, partial));
        }
        auto tables = read_part_tables(path, cut);
        if (!tables) return tl::unexpected(tables.error());
        if (tables->range.index != index || tables->range.first != next) {
            return fail(FailureKind::torn, fmt::format("'{}' does not begin at VNode {}", path, next));
        }
        next += tables->range.count;
        all.push_back(std::move(*tables));
    }
    if (next != cut.vnodes) {
        return fail(FailureKind::torn,
                    fmt::format("the {} parts in '{}' hold {} of {} VNodes", parts, partial, next, cut.vnodes));
    }
    return all;
}

Result<Manifest> complete_partial(const std::string& partial, const CutDescription& cut, std::uint32_t parts) {
    const auto tables = gather_parts(partial, cut, parts);
    if (!tables) return tl::unexpected(tables.error());
    const std::string master{master_name};
    if (auto written = write_master_file(join(partial, master), cut, *tables); !written) {
        return tl::unexpected(written.error());
    }
    Manifest manifest;
    manifest.library_version = PHOENIX_VERSION;
    manifest.cut = cut;
    for (const PartTables& part : *tables) {
        auto entry = describe(partial, part_name(part.range.index), part.data);
        if (!entry) return tl::unexpected(entry.error());
        entry->first_vnode = part.range.first;
        entry->vnodes = part.range.count;
        manifest.parts.push_back(std::move(*entry));
    }
    auto entry = describe(partial, master, {});
    if (!entry) return tl::unexpected(entry.error());
    manifest.master = std::move(*entry);
    if (auto written = write_whole(join(partial, manifest_name), to_text(manifest)); !written) {
        return tl::unexpected(written.error());
    }
    return manifest;
}

/// Temporary files of dead writers, parts of another division, the marker.
void remove_strays(const std::string& partial, const Manifest& manifest) {
    const auto names = list(partial);
    if (!names) return;
    std::set<std::string> wanted{std::string{manifest_name}, manifest.master.name};
    for (const FileEntry& part : manifest.parts) wanted.insert(part.name);
    for (const std::string& name : *names) {
        if (!wanted.contains(name)) remove_file(join(partial, name));
    }
}

/// True if the checkpoint `final` is there already, made from this very cut.
bool is_finished(const std::string& final, const CutDescription& cut) {
    const auto manifest = load_manifest(final);
    return manifest && manifest->cut.lineage == cut.lineage && manifest->cut.domain == cut.domain;
}

Result<void> check_not_superseded(const std::string& directory, const CutDescription& cut,
                                  const std::vector<Entry>& entries) {
    for (const Entry& entry : entries) {
        if (entry.state != EntryState::complete) continue;
        if (entry.key.generation > cut.generation) {
            return fail(
                FailureKind::superseded,
                fmt::format("'{}' holds '{}', of a later generation than {}: this run was replaced by a restart; "
                            "its checkpoint at step {} is not kept",
                            directory, name_of(entry), cut.generation, cut.step));
        }
        if (entry.key == entry_of(cut, EntryState::complete).key) {
            return fail(FailureKind::superseded,
                        fmt::format("'{}' holds '{}' of another run; go on from it with --restart, or give another "
                                    "directory",
                                    directory, name_of(entry)));
        }
    }
    return {};
}

void prune(const std::string& directory, const CutDescription& cut, std::uint32_t kept) {
    const auto entries = entries_of(directory);
    if (!entries) return;
    const CutKey finished{cut.generation, cut.step};
    std::uint32_t good = 0;
    for (const Entry& entry : *entries) {
        const std::string path = join(directory, name_of(entry));
        if (entry.state == EntryState::pruned) remove_checkpoint_files(path);
        if (entry.key > finished) continue;
        // A partial one of the cut just finished is a part that was repeated too late.
        if (entry.state == EntryState::partial && may_belong_to(path, cut.lineage)) remove_checkpoint_files(path);
        if (entry.state != EntryState::complete) continue;
        if (entry.key == finished) {
            ++good;
            continue;
        }
        // One that is damaged does not count, so it never pushes out a good one; and it is left for people to look at.
        if (!is_finished(path, cut)) continue;
        if (++good <= std::max(kept, 1U)) continue;
        Entry removed = entry;
        removed.state = EntryState::pruned;
        // Renamed first: whoever looks meanwhile must not find a checkpoint with files missing.
        const std::string pruned = join(directory, name_of(removed));
        if (rename(path, pruned)) remove_checkpoint_files(pruned);
    }
}

}  // namespace

PartRange even_part(std::uint32_t vnodes, std::uint32_t parts, std::uint32_t index) {
    const auto border = [&](std::uint64_t i) { return static_cast<std::uint32_t>(i * vnodes / parts); };
    return {index, border(index), border(std::uint64_t{index} + 1) - border(index)};
}

Result<std::uint32_t> next_generation(const std::string& directory) {
    if (!exists(directory)) return 0;
    const auto entries = entries_of(directory);
    if (!entries) return tl::unexpected(entries.error());
    return entries->empty() ? 0 : entries->front().key.generation + 1;
}

Result<void> write_part(const std::string& directory, const CutDescription& cut, PartRange range,
                        std::span<const VNodeView> vnodes) {
    if (auto checked = check(cut); !checked) return checked;
    const std::string partial = join(directory, name_of(entry_of(cut, EntryState::partial)));
    return make_partial(directory, partial, cut.lineage).and_then([&] {
        return write_part_file(join(partial, part_name(range.index)), cut, range, vnodes);
    });
}

Result<std::string> finish(const std::string& directory, const CutDescription& cut, FinishOptions options) {
    if (auto checked = check(cut); !checked) return tl::unexpected(checked.error());
    const std::string final = join(directory, name_of(entry_of(cut, EntryState::complete)));
    const std::string partial = join(directory, name_of(entry_of(cut, EntryState::partial)));
    const auto entries = entries_of(directory);
    if (!entries) return tl::unexpected(entries.error());
    if (!is_finished(final, cut)) {
        if (auto checked = check_not_superseded(directory, cut, *entries); !checked) {
            return tl::unexpected(checked.error());
        }
        const auto manifest = complete_partial(partial, cut, options.parts);
        if (!manifest) return tl::unexpected(manifest.error());
        remove_strays(partial, *manifest);
        auto renamed = sync(partial).and_then([&] { return rename(partial, final); });
        if (!renamed) return tl::unexpected(renamed.error());
    }
    // Also when the rename was done by one who died right after it.
    if (auto synced = sync(directory); !synced) return tl::unexpected(synced.error());
    prune(directory, cut, options.kept);
    return final;
}

void discard(const std::string& directory, const CutDescription& cut) {
    const std::string partial = join(directory, name_of(entry_of(cut, EntryState::partial)));
    if (may_belong_to(partial, cut.lineage)) remove_checkpoint_files(partial);
}

}  // namespace phoenix::checkpoint
