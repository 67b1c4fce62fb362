#pragma once
/// One sweep of Jacobi relaxation over a block: the inner loop of the example, also used by its rivals in bench/.

#include <cstddef>
#include <cstdint>

namespace plate {

/// Points of a block of which every neighbour is there (in the block or its halo).
struct Sweep {
    const double* now{nullptr};    ///< First point to be renewed.
    double* next{nullptr};         ///< Its place in the result.
    std::ptrdiff_t now_stride{0};  ///< From one row to the next, in elements.
    std::ptrdiff_t next_stride{0};
    std::uint64_t rows{0};
    std::uint64_t columns{0};
};

/// next = (above + below + left + right) / 4 for all points. The bits of a point depend on its neighbours only, so
/// every decomposition gives the same plate.
void relax(const Sweep& sweep) noexcept;

/// The same, and returns the largest change of a point.
[[nodiscard]] double relax_and_measure(const Sweep& sweep) noexcept;

}  // namespace plate
