#pragma once
/// Names in a checkpoint directory, and their order in time.
///
///     DIR/step-000000000200.g3/          complete and verified: part-0000.h5 ... master.h5 MANIFEST.json
///     DIR/step-000000000300.g3.partial/  being written, or left by a death
///     DIR/step-000000000100.g2.pruned/   being removed

#include "checkpoint/files.hpp"

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace phoenix::checkpoint {

inline constexpr std::string_view master_name = "master.h5";
inline constexpr std::string_view manifest_name = "MANIFEST.json";

/// Age of a cut. A later generation began with a restart or rollback to an earlier step, so it counts first.
struct CutKey {
    std::uint32_t generation{};
    std::uint64_t step{};
    friend auto operator<=>(const CutKey&, const CutKey&) = default;
};

enum class EntryState : std::uint8_t { complete, partial, pruned };

struct Entry {
    CutKey key;
    EntryState state{};
    friend bool operator==(const Entry&, const Entry&) = default;
};

[[nodiscard]] std::string name_of(const Entry& entry);
[[nodiscard]] std::optional<Entry> parse_entry(std::string_view name);
[[nodiscard]] std::string part_name(std::uint32_t index);
[[nodiscard]] std::string join(const std::string& directory, std::string_view name);

/// Everything in `directory` that has a name of ours, newest first.
[[nodiscard]] Result<std::vector<Entry>> entries_of(const std::string& directory);

/// The marker of a partial directory: whose it is.
[[nodiscard]] std::string lineage_name(std::uint64_t lineage);
/// True if `partial` holds the marker of `lineage`, or none at all (its writer died before it made one).
[[nodiscard]] bool may_belong_to(const std::string& partial, std::uint64_t lineage);

/// Removes the files of ours in `path`, and the directory if nothing else is in it. Best effort: a later call goes on.
void remove_checkpoint_files(const std::string& path);

}  // namespace phoenix::checkpoint
