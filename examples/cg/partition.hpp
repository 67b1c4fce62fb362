#pragma once
/// How the rows of a matrix are divided among VNodes, and what a VNode needs of the others' vectors.

#include "cg/matrix_market.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace cg {

/// Boundaries b[0] = 0 .. b[V] = rows: VNode v has rows b[v] .. b[v + 1] - 1, at least one, and about the same number
/// of nonzeros as the others.
///
/// @param vnodes  1 .. rows.
[[nodiscard]] std::vector<std::uint64_t> divide_rows(const SparseRows& matrix, std::uint32_t vnodes);

/// Entries exchanged with one other VNode. Since the matrix is symmetric, who needs something also gives something.
struct Peer {
    std::uint32_t vnode{0};
    std::uint32_t give_begin{0};  ///< In LocalRows::gives.
    std::uint32_t give_count{0};
    std::uint32_t need_begin{0};  ///< In the extended vector.
    std::uint32_t need_count{0};
    friend bool operator==(const Peer&, const Peer&) = default;
};

/// The rows of one VNode. Columns are places in its *extended vector*: what it needs from VNodes below, its own
/// entries, what it needs from VNodes above, each in ascending order of rows. So a row is summed in the order of global
/// columns, whatever the division.
struct LocalRows {
    std::vector<std::uint32_t> row_begin;  ///< [rows + 1]
    std::vector<std::uint32_t> columns;
    std::vector<double> values;
    std::vector<Peer> peers;           ///< Ascending by VNode.
    std::vector<std::uint32_t> gives;  ///< Own rows that peers need, peer by peer, ascending.
    std::uint32_t own_begin{0};        ///< Place of the first own entry in the extended vector.
    std::uint32_t extended{0};         ///< Length of the extended vector.
};

/// @pre  The rows of `vnode` have fewer than 2^32 nonzeros.
[[nodiscard]] LocalRows local_rows(const SparseRows& matrix, std::span<const std::uint64_t> boundaries,
                                   std::uint32_t vnode);

/// result[i] = row i of the VNode times its extended vector.
void multiply(std::span<const std::uint32_t> row_begin, std::span<const std::uint32_t> columns,
              std::span<const double> values, std::span<const double> extended, std::span<double> result) noexcept;

}  // namespace cg
