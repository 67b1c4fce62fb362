#pragma once
/// What must be done once per job, whoever does it and whoever dies on the way: named cells with recorded results.

#include "memory/control_segment.hpp"

#include <cstdint>
#include <string_view>

namespace phoenix {

/// Who claimed a cell.
struct Claimant {
    std::uint32_t slot;
    std::uint32_t incarnation;
};

/// Finds the cell of `name`, making it if there is none.
/// @error no_memory  All once_cell_count cells are in use.
[[nodiscard]] tl::expected<OnceCell*, Failure> find_once_cell(const ControlSegment& segment, std::string_view name);

enum class OnceStatus : std::uint8_t {
    recorded,  ///< The result is there.
    claimed,   ///< The caller must do it and then call record_once().
    elsewhere  ///< A living member is at it: wait.
};

/// Claims `cell` unless it is recorded or a living member has it. `claimant_dead(slot, incarnation)` must say true only
/// for members seen dead.
template <typename Dead>
[[nodiscard]] OnceStatus claim_once(OnceCell& cell, Claimant self, Dead&& claimant_dead) {
    const std::uint64_t own = std::uint64_t{self.slot + 1} << 32 | self.incarnation;
    std::uint64_t seen = cell.state.load(std::memory_order_acquire);
    for (;;) {
        if (seen == ~std::uint64_t{0}) return OnceStatus::recorded;
        if (seen == own) return OnceStatus::claimed;
        const bool open =
            seen == 0 || claimant_dead(static_cast<std::uint32_t>(seen >> 32) - 1, static_cast<std::uint32_t>(seen));
        if (!open) return OnceStatus::elsewhere;
        if (cell.state.compare_exchange_strong(seen, own, std::memory_order_acq_rel)) return OnceStatus::claimed;
    }
}

/// Takes a claim back: somebody else may do it. Only the claimant calls this; nothing if the cell is not its own.
void unclaim_once(OnceCell& cell, Claimant self) noexcept;

/// Publishes the result: `size` bytes at arena offset `offset`. Only the claimant calls this.
void record_once(OnceCell& cell, std::uint64_t offset, std::uint64_t size) noexcept;

}  // namespace phoenix
