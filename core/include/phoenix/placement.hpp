#pragma once
/// Placement: by which rule the VNodes of a domain are given to members, and which of them move when members come and
/// go.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace phoenix {

enum class PlacementKind : std::uint8_t {
    block = 0,  ///< Neighbours together, equal numbers; no smaller number of moves keeps them equal.
    ring,  ///< Consistent hashing: who comes takes a share from all, of who goes all get a share, nothing else moves.
    topology,  ///< As block, but neighbours stay with members of the same NUMA domain as far as equal numbers allow.
    custom     ///< A function of the application.
};

/// A member as a placement sees it.
struct PlacementMember {
    std::uint32_t slot = 0;                  ///< As Domain::owner() gives it; others have it once this one has retired.
    std::uint64_t seniority = 0;             ///< Nobody else ever has it in the job's node; the lower, the older.
    std::optional<std::uint32_t> numa_node;  ///< The one it is bound to; empty: to none, or not known.
};

/// A placement of the application's own: for each of `vnodes` VNodes the position in `members` of its owner. `members`
/// are those of one node, oldest first, at least one, and change with every join, death and retirement; what the
/// function gives for two lists decides what moves between them.
///
/// It must be pure, and the same in every member: whoever coordinates at the moment calls it. A result of another size
/// or with a position beyond `members`, and an exception, end the job.
/// @threads  The service thread, at any time between the domain's first phase and the end; never two calls at once.
/// @cost     Called a few times per membership change. A member that spends seconds in it counts as hung.
using PlacementFunction =
    std::function<std::vector<std::uint32_t>(std::uint32_t vnodes, std::span<const PlacementMember> members)>;

inline constexpr std::uint32_t ring_tokens_default = 128;
inline constexpr std::uint32_t ring_tokens_max = 4096;

/// A rule with its parameters, e.g. `Placement::ring(64)`.
struct Placement {
    PlacementKind kind = PlacementKind::block;
    std::uint32_t ring_tokens = 0;  ///< Of a ring: points on it per member, 1 to 4096; of all others 0.
    PlacementFunction function;     ///< Of a custom placement; of all others empty.

    [[nodiscard]] static Placement block() { return {}; }
    /// More tokens: more even shares, a larger ring to search.
    [[nodiscard]] static Placement ring(std::uint32_t tokens = ring_tokens_default) {
        return {PlacementKind::ring, tokens, {}};
    }
    [[nodiscard]] static Placement topology() { return {PlacementKind::topology, 0, {}}; }
    [[nodiscard]] static Placement custom(PlacementFunction function) {
        return {PlacementKind::custom, 0, std::move(function)};
    }
};

}  // namespace phoenix
