#pragma once
/// Matrix Market files (R. Boisvert, R. Pozo, K. Remington, NISTIR 5935): real symmetric matrices and dense vectors.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cg {

/// A sparse matrix by rows; the columns of a row ascend.
struct SparseRows {
    std::vector<std::uint64_t> row_begin;  ///< [rows + 1]
    std::vector<std::uint32_t> columns;    ///< [row_begin.back()], from 0
    std::vector<double> values;            ///< [row_begin.back()]

    [[nodiscard]] std::uint64_t rows() const noexcept { return row_begin.size() - 1; }
};

/// Parses a `matrix coordinate real symmetric` file; the result has both triangles.
///
/// @param name  Of the file, for messages.
/// @error invalid_argument  Anything else, or malformed: "NAME, line N: what is wrong".
[[nodiscard]] SparseRows parse_matrix(std::string_view text, const std::string& name);

/// Parses a `matrix array real general` file of one column and `rows` rows. @error invalid_argument  As parse_matrix().
[[nodiscard]] std::vector<double> parse_vector(std::string_view text, const std::string& name, std::uint64_t rows);

/// The whole file. @error invalid_argument  Cannot be read: says why.
[[nodiscard]] std::string read_text(const std::string& name);

}  // namespace cg
