#pragma once
/// MANIFEST.json: what a complete checkpoint consists of. Written last, so its presence says "all is there".

#include "checkpoint/cut.hpp"
#include "checkpoint/files.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace phoenix::checkpoint {

inline constexpr std::uint32_t format_version = 1;

struct FileEntry {
    std::string name;
    std::uint64_t bytes{};
    std::uint64_t digest{};       ///< Of the file without `data`: everything HDF5 itself will interpret.
    std::vector<ByteRange> data;  ///< Per section (fields, state, messages); VNode digests inside the file cover it.
    std::uint32_t first_vnode{};
    std::uint32_t vnodes{};
    friend bool operator==(const FileEntry&, const FileEntry&) = default;
};

struct Manifest {
    std::string library_version;
    CutDescription cut;  ///< Without records: these are in the master file.
    FileEntry master;
    std::vector<FileEntry> parts;
};

/// The data ranges of `entry` that are not empty, sorted.
[[nodiscard]] std::vector<ByteRange> data_of(const FileEntry& entry);

[[nodiscard]] std::string to_text(const Manifest& manifest);

/// corrupt if the text differs from what was written; other_version before anything else is looked at.
[[nodiscard]] Result<Manifest> parse_manifest(const std::string& text, const std::string& path);

/// The manifest of the checkpoint directory `path`; torn if there is none, or if a file is missing or has another size.
[[nodiscard]] Result<Manifest> load_manifest(const std::string& path);

/// Wraps a JSON text in the envelope with its digest. For to_text and for tests that forge manifests.
[[nodiscard]] std::string seal_manifest(const std::string& json);

}  // namespace phoenix::checkpoint
