#include "cg/problem.hpp"

#include <fmt/format.h>
#include <phoenix/error.hpp>

namespace cg {

namespace {

[[noreturn]] void refuse(const std::string& sentence) {
    throw phoenix::Error{phoenix::Errc::invalid_argument, sentence};
}

void check(const SparseRows& matrix, const Options& options) {
    if (options.vnodes > matrix.rows())
        refuse(fmt::format("{} VNodes for the {} rows of '{}': a VNode needs at least one row", options.vnodes,
                           matrix.rows(), options.matrix_file));
    for (std::uint64_t row = 0; row < matrix.rows(); ++row) {
        double diagonal = 0;
        for (std::uint64_t i = matrix.row_begin[row]; i < matrix.row_begin[row + 1]; ++i)
            if (matrix.columns[i] == row) diagonal = matrix.values[i];
        if (!(diagonal > 0))
            refuse(fmt::format("'{}' is not positive definite: the diagonal of row {} is {}", options.matrix_file,
                               row + 1, diagonal));
    }
}

}  // namespace

const SparseRows& Problem::matrix() {
    if (!matrix_) {
        SparseRows matrix = parse_matrix(read_text(options_->matrix_file), options_->matrix_file);
        check(matrix, *options_);
        matrix_ = std::move(matrix);
    }
    return *matrix_;
}

const std::vector<double>& Problem::right_hand_side() {
    if (right_hand_side_.empty()) {
        const SparseRows& a = matrix();
        if (!options_->rhs_file.empty()) {
            right_hand_side_ = parse_vector(read_text(options_->rhs_file), options_->rhs_file, a.rows());
        } else {
            for (std::uint64_t row = 0; row < a.rows(); ++row) {
                double sum = 0;
                for (std::uint64_t i = a.row_begin[row]; i < a.row_begin[row + 1]; ++i) sum += a.values[i];
                right_hand_side_.push_back(sum);
            }
        }
    }
    return right_hand_side_;
}

void Problem::forget() noexcept {
    matrix_.reset();
    right_hand_side_ = {};
}

}  // namespace cg
