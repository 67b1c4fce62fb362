#pragma once
/// How the plate is divided among VNodes: a grid of rectangular blocks, one for each VNode.

#include <cstdint>
#include <optional>
#include <phoenix/array.hpp>

namespace plate {

struct Size {
    std::uint64_t rows{0};
    std::uint64_t columns{0};
    friend bool operator==(const Size&, const Size&) = default;
};

/// Rows [row, row + rows) and columns [column, column + columns) of the plate.
struct Block {
    std::uint64_t row{0};
    std::uint64_t column{0};
    std::uint64_t rows{0};
    std::uint64_t columns{0};
    friend bool operator==(const Block&, const Block&) = default;
};

/// A grid of block_rows x block_columns = V blocks, numbered row by row; their sides differ by at most one.
class Decomposition {
  public:
    Decomposition(Size plate, std::uint32_t block_rows, std::uint32_t block_columns) noexcept
        : plate_(plate), block_rows_(block_rows), block_columns_(block_columns) {}

    [[nodiscard]] std::uint32_t block_rows() const noexcept { return block_rows_; }
    [[nodiscard]] std::uint32_t block_columns() const noexcept { return block_columns_; }
    [[nodiscard]] std::uint32_t vnodes() const noexcept { return block_rows_ * block_columns_; }
    [[nodiscard]] Size plate() const noexcept { return plate_; }

    [[nodiscard]] Block block(std::uint32_t vnode) const noexcept;
    /// The VNode beyond `side` of `axis` (0: rows, 1: columns); nothing at the edge of the plate.
    [[nodiscard]] std::optional<std::uint32_t> neighbour(std::uint32_t vnode, unsigned axis,
                                                         phoenix::Side side) const noexcept;

  private:
    Size plate_;
    std::uint32_t block_rows_;
    std::uint32_t block_columns_;
};

/// The cheapest grid of exactly `vnodes` blocks of at least one point each; nothing if there is none, which cannot be
/// when the plate has at least `vnodes` rows or columns.
[[nodiscard]] std::optional<Decomposition> decompose(Size plate, std::uint32_t vnodes);

/// The largest number of VNodes up to `vnodes` for which decompose() finds a grid.
[[nodiscard]] std::uint32_t nearest_vnodes(Size plate, std::uint32_t vnodes);

}  // namespace plate
