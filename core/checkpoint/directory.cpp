#include "checkpoint/directory.hpp"

#include "checkpoint/digest.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

namespace phoenix::checkpoint {

namespace {

constexpr std::size_t step_digits = 12;
constexpr std::string_view lineage_prefix = "lineage-";

std::string_view suffix_of(EntryState state) {
    switch (state) {
        case EntryState::complete: return "";
        case EntryState::partial: return ".partial";
        case EntryState::pruned: return ".pruned";
    }
    return "";
}

/// Takes a number off the front of `text`.
template <typename Number>
bool take_number(std::string_view& text, Number& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

bool take_text(std::string_view& text, std::string_view expected) {
    if (!text.starts_with(expected)) return false;
    text.remove_prefix(expected.size());
    return true;
}

bool is_ours(std::string_view name) {
    if (name == manifest_name || name == master_name || name.starts_with(lineage_prefix)) return true;
    if (name.starts_with("part-") && name.ends_with(".h5")) return true;
    const bool temporary = name.ends_with(".tmp");
    return temporary && (name.starts_with("part-") || name.starts_with(master_name) || name.starts_with(manifest_name));
}

}  // namespace

std::string name_of(const Entry& entry) {
    return fmt::format("step-{:0{}}.g{}{}", entry.key.step, step_digits, entry.key.generation, suffix_of(entry.state));
}

std::optional<Entry> parse_entry(std::string_view name) {
    Entry entry;
    std::string_view rest = name;
    if (!take_text(rest, "step-") || !take_number(rest, entry.key.step) || !take_text(rest, ".g") ||
        !take_number(rest, entry.key.generation)) {
        return std::nullopt;
    }
    for (const EntryState state : {EntryState::complete, EntryState::partial, EntryState::pruned}) {
        entry.state = state;
        if (name_of(entry) == name) return entry;  // refuses what only looks like ours, such as too few digits
    }
    return std::nullopt;
}

std::string part_name(std::uint32_t index) { return fmt::format("part-{:04}.h5", index); }

std::string join(const std::string& directory, std::string_view name) {
    return directory.ends_with('/') ? fmt::format("{}{}", directory, name) : fmt::format("{}/{}", directory, name);
}

Result<std::vector<Entry>> entries_of(const std::string& directory) {
    const auto names = list(directory);
    if (!names) return tl::unexpected(names.error());
    std::vector<Entry> entries;
    for (const std::string& name : *names) {
        if (const auto entry = parse_entry(name)) entries.push_back(*entry);
    }
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.key > b.key; });
    return entries;
}

std::string lineage_name(std::uint64_t lineage) { return fmt::format("{}{}", lineage_prefix, hex(lineage)); }

bool may_belong_to(const std::string& partial, std::uint64_t lineage) {
    const auto names = list(partial);
    if (!names) return false;
    const auto marker = std::find_if(names->begin(), names->end(),
                                     [](const std::string& name) { return name.starts_with(lineage_prefix); });
    return marker == names->end() || *marker == lineage_name(lineage);
}

void remove_checkpoint_files(const std::string& path) {
    const auto names = list(path);
    if (!names) return;
    for (const std::string& name : *names) {
        if (is_ours(name)) remove_file(join(path, name));
    }
    remove_directory(path);
}

}  // namespace phoenix::checkpoint
