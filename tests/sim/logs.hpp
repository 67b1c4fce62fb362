#pragma once
/// The logs of a node as the simulation knows them: chains of records that are used again from the front, and the
/// directory that says where a log begins.

#include "base/ids.hpp"
#include "sim/records.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace phoenix::sim {

/// Label of a chain whose writer is gone and whose writer's slot others may have.
inline constexpr std::uint32_t nobody = ~std::uint32_t{0};

struct Chain {
    std::uint32_t label{};  ///< Slot of the writer, or nobody: what a sweeper goes by.
    std::uint32_t reader{};
    Incarnation reader_incarnation{};
    std::vector<Record> records{};
    std::size_t read{};      ///< Up to here the reader has passed: it follows no link before that.
    std::size_t recycled{};  ///< Memory up to here is used otherwise. Invariant: those records are released.

    /// Up to `limit` what is released goes back to the pool, from the front.
    void recycle(std::size_t limit) noexcept {
        while (recycled < limit && records[recycled].released) {
            ++recycled;
        }
    }
    [[nodiscard]] bool used_up() const noexcept { return recycled == records.size(); }
};

/// One word of the log directory.
struct LogHead {
    std::size_t chain{};  ///< Index + 1; 0: no log.
    Incarnation reader_incarnation{};
};

}  // namespace phoenix::sim
