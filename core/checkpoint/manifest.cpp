#include "checkpoint/manifest.hpp"

#include "checkpoint/digest.hpp"
#include "checkpoint/directory.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace phoenix::checkpoint {

namespace {

using nlohmann::json;

constexpr const char* magic = "phoenixflight-checkpoint";
constexpr const char* byte_order = std::endian::native == std::endian::little ? "little" : "big";

std::uint64_t digest_of_text(const std::string& text) { return digest_of(std::as_bytes(std::span{text})); }

json to_json(const FileEntry& file) {
    json data = json::array();
    for (const ByteRange& range : file.data) data.push_back({range.offset, range.bytes});
    return {{"name", file.name},
            {"bytes", file.bytes},
            {"digest", hex(file.digest)},
            {"data", data},
            {"first_vnode", file.first_vnode},
            {"vnodes", file.vnodes}};
}

FileEntry file_from(const json& object) {
    FileEntry file;
    file.name = object.at("name").get<std::string>();
    file.bytes = object.at("bytes").get<std::uint64_t>();
    file.digest = std::stoull(object.at("digest").get<std::string>(), nullptr, 16);
    for (const json& range : object.at("data")) {
        file.data.push_back({range.at(0).get<std::uint64_t>(), range.at(1).get<std::uint64_t>()});
    }
    file.first_vnode = object.at("first_vnode").get<std::uint32_t>();
    file.vnodes = object.at("vnodes").get<std::uint32_t>();
    return file;
}

const char* word_of(ElementKind kind) {
    switch (kind) {
        case ElementKind::floating: return "float";
        case ElementKind::signed_integer: return "int";
        case ElementKind::unsigned_integer: return "uint";
        case ElementKind::opaque: break;
    }
    return "opaque";
}

ElementKind kind_from(const std::string& word) {
    for (const ElementKind kind : {ElementKind::floating, ElementKind::signed_integer, ElementKind::unsigned_integer}) {
        if (word == word_of(kind)) return kind;
    }
    return ElementKind::opaque;
}

json to_json(const FieldLayout& field) {
    return {{"name", field.name},
            {"kind", word_of(field.type.kind)},
            {"element_bytes", field.type.size_bytes},
            {"rank", field.rank},
            {"resizable", field.resizable}};
}

FieldLayout field_from(const json& object) {
    FieldLayout field;
    field.name = object.at("name").get<std::string>();
    field.type = {kind_from(object.at("kind").get<std::string>()), object.at("element_bytes").get<std::uint32_t>()};
    field.rank = object.at("rank").get<unsigned>();
    field.resizable = object.at("resizable").get<bool>();
    return field;
}

Manifest manifest_from(const json& object) {
    Manifest manifest;
    manifest.library_version = object.at("library_version").get<std::string>();
    CutDescription& cut = manifest.cut;
    cut.domain = object.at("domain").get<std::string>();
    cut.layout_hash = std::stoull(object.at("layout_hash").get<std::string>(), nullptr, 16);
    cut.lineage = std::stoull(object.at("lineage").get<std::string>(), nullptr, 16);
    cut.vnodes = object.at("vnodes").get<std::uint32_t>();
    cut.phase = object.at("phase").get<std::uint32_t>();
    cut.step = object.at("step").get<std::uint64_t>();
    cut.generation = object.at("generation").get<std::uint32_t>();
    cut.seed = object.at("seed").get<std::uint64_t>();
    for (const json& field : object.at("fields")) cut.fields.push_back(field_from(field));
    manifest.master = file_from(object.at("master"));
    for (const json& part : object.at("parts")) manifest.parts.push_back(file_from(part));
    return manifest;
}

/// What the digest cannot tell: a manifest put together wrongly.
bool consistent(const Manifest& manifest) {
    if (!check(manifest.cut) || manifest.parts.empty()) return false;
    std::uint64_t next = 0;
    for (const FileEntry& part : manifest.parts) {
        if (part.first_vnode != next || part.vnodes == 0) return false;
        if (part.data.size() != manifest.cut.fields.size() + 2) return false;
        if (part.name.find('/') != std::string::npos) return false;
        next += part.vnodes;
    }
    return next == manifest.cut.vnodes;
}

}  // namespace

std::vector<ByteRange> data_of(const FileEntry& entry) {
    std::vector<ByteRange> data;
    for (const ByteRange& range : entry.data) {
        if (range.bytes > 0) data.push_back(range);
    }
    std::sort(data.begin(), data.end(), [](const ByteRange& a, const ByteRange& b) { return a.offset < b.offset; });
    return data;
}

std::string seal_manifest(const std::string& json_text) {
    const json content = json::parse(json_text);
    const json envelope{{"digest", hex(digest_of_text(content.dump()))}, {"manifest", content}};
    return envelope.dump(1) + "\n";
}

std::string to_text(const Manifest& manifest) {
    const CutDescription& cut = manifest.cut;
    json fields = json::array();
    for (const FieldLayout& field : cut.fields) fields.push_back(to_json(field));
    json parts = json::array();
    for (const FileEntry& part : manifest.parts) parts.push_back(to_json(part));
    const json content{{"format", magic},
                       {"format_version", format_version},
                       {"byte_order", byte_order},
                       {"library_version", manifest.library_version},
                       {"domain", cut.domain},
                       {"layout_hash", hex(cut.layout_hash)},
                       {"lineage", hex(cut.lineage)},
                       {"vnodes", cut.vnodes},
                       {"phase", cut.phase},
                       {"step", cut.step},
                       {"generation", cut.generation},
                       {"seed", cut.seed},
                       {"fields", fields},
                       {"master", to_json(manifest.master)},
                       {"parts", parts}};
    return seal_manifest(content.dump());
}

Result<Manifest> parse_manifest(const std::string& text, const std::string& path) {
    const auto damaged = [&](const std::string& what) {
        return fail(FailureKind::corrupt, fmt::format("the manifest '{}' is damaged: {}", path, what));
    };
    // nlohmann-json reports by exceptions; none leaves this function.
    try {
        const json envelope = json::parse(text);
        const json& content = envelope.at("manifest");
        if (envelope.at("digest").get<std::string>() != hex(digest_of_text(content.dump()))) {
            return damaged("its digest does not match its text");
        }
        if (content.at("format").get<std::string>() != magic) {
            return fail(FailureKind::not_a_checkpoint, fmt::format("'{}' is not the manifest of a checkpoint", path));
        }
        const auto version = content.at("format_version").get<std::uint32_t>();
        if (version != format_version) {
            return fail(FailureKind::other_version,
                        fmt::format("'{}' has checkpoint format version {} (library {}), this library reads version "
                                    "{}; restart with the library that wrote it",
                                    path, version, content.at("library_version").get<std::string>(), format_version));
        }
        if (content.at("byte_order").get<std::string>() != byte_order) {
            return fail(
                FailureKind::other_version,
                fmt::format("'{}' was written on a machine of another byte order; restart on such a one", path));
        }
        Manifest manifest = manifest_from(content);
        if (!consistent(manifest)) return damaged("its parts do not make up the domain");
        return manifest;
    } catch (const std::exception& error) {
        return damaged(error.what());
    }
}

namespace {

Result<void> check_size(const std::string& directory, const FileEntry& entry) {
    const std::string path = join(directory, entry.name);
    if (!exists(path)) return fail(FailureKind::torn, fmt::format("'{}' is missing", path));
    return open_to_read(path)
        .and_then([&](const FileDescriptor& file) { return size_of(file, path); })
        .and_then([&](std::uint64_t bytes) -> Result<void> {
            if (bytes == entry.bytes) return {};
            return fail(FailureKind::torn, fmt::format("'{}' has {} bytes instead of {}", path, bytes, entry.bytes));
        });
}

}  // namespace

Result<Manifest> load_manifest(const std::string& path) {
    const std::string file = join(path, manifest_name);
    if (exists(path) && !exists(file)) {
        return fail(FailureKind::torn, fmt::format("'{}' has no {}: it was never finished", path, manifest_name));
    }
    const auto text = read_whole(file);
    if (!text) return tl::unexpected(text.error());
    auto manifest = parse_manifest(*text, file);
    if (!manifest) return manifest;
    if (auto checked = check_size(path, manifest->master); !checked) return tl::unexpected(checked.error());
    for (const FileEntry& part : manifest->parts) {
        if (auto checked = check_size(path, part); !checked) return tl::unexpected(checked.error());
    }
    return manifest;
}

}  // namespace phoenix::checkpoint
