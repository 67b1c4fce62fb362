#pragma once
/// Writing checkpoints: parts by anybody, in any order, repeated at will; one finish() makes them a checkpoint.
///
/// All goes into DIR/step-N.gG.partial/; every file is written under a temporary name, synced and renamed; the
/// manifest comes last; then the directory is synced, renamed once and its parent synced. So a checkpoint under its
/// final name is complete whenever the writers die (rule 16 of the protocols).

#include "checkpoint/cut.hpp"
#include "checkpoint/part_file.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace phoenix::checkpoint {

/// The range of part `index` of `parts` equal ones. 1 <= parts <= vnodes.
[[nodiscard]] PartRange even_part(std::uint32_t vnodes, std::uint32_t parts, std::uint32_t index);

/// The generation a new run or a restart must use in `directory`: above every one that is or was being written there,
/// so that its checkpoints are the newer ones whatever their step. 0 for an empty or missing directory.
[[nodiscard]] Result<std::uint32_t> next_generation(const std::string& directory);

/// Writes part `range.index` of `cut`. `vnodes` are those of the range, in order.
///
/// May be called by several processes at once for different parts, and again for a part whose writer died (or did
/// not): the same bytes result.
/// @error disk_full, system  Nothing of this part is left behind; the other parts stay for a repetition.
[[nodiscard]] Result<void> write_part(const std::string& directory, const CutDescription& cut, PartRange range,
                                      std::span<const VNodeView> vnodes);

struct FinishOptions {
    std::uint32_t parts{1};  ///< How many were written; together they must be all VNodes.
    std::uint32_t kept{2};   ///< Complete checkpoints of this lineage that stay, at least 1.
};

/// Joins the parts of `cut` to a checkpoint under its final name, then removes older ones and what dead writers left.
///
/// May be repeated after a death, also if the dead one got as far as the rename. Only complete checkpoints of the
/// same domain and lineage are removed, and only after this one is in place.
/// @returns The path of the checkpoint.
/// @error torn        A part is missing: write it and call again.
/// @error superseded  A higher generation, or another run, is there already; nothing was changed.
[[nodiscard]] Result<std::string> finish(const std::string& directory, const CutDescription& cut,
                                         FinishOptions options);

/// Removes what was written of `cut`, which is given up. Best effort; a complete checkpoint is not touched.
void discard(const std::string& directory, const CutDescription& cut);

}  // namespace phoenix::checkpoint
