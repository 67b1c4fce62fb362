#pragma once
/// Preconditioned conjugate gradients (Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., algorithm 9.1) as
/// steps of VNodes: one iteration a step. All that outlives a step lies in fields, the rows of the matrix too.

#include "cg/partition.hpp"

#include <cstdint>
#include <phoenix/phoenix.hpp>
#include <span>

namespace cg {

/// What all VNodes know alike.
struct Scalars {
    double rho{0};         ///< r . z
    double rhs_square{0};  ///< b . b
    double residual{0};    ///< |b - A x| / |b|, recomputed at the end.
};

struct Fields {
    // Written once, in initialise; never changed, so commits of them are free.
    phoenix::Field<std::uint32_t> row_begin;
    phoenix::Field<std::uint32_t> columns;
    phoenix::Field<double> values;
    phoenix::Field<Peer> peers;
    phoenix::Field<std::uint32_t> gives;
    phoenix::Field<std::uint32_t> layout;  ///< [2]: own_begin, extended of LocalRows.
    phoenix::Field<double> inverse_diagonal;
    phoenix::Field<double> rhs;
    // Two buffers: a commit is a flip.
    phoenix::Field<double> x;
    phoenix::Field<double> r;
    phoenix::Field<double> p;
    phoenix::Field<Scalars> scalars;
};

/// Declares the fields; VNode v has boundaries[v + 1] - boundaries[v] rows.
[[nodiscard]] Fields declare_fields(phoenix::Domain& domain, std::span<const std::uint64_t> boundaries);

/// First values: x = 0, r = b, p = z.
void set_first_values(phoenix::VNode& self, const Fields& fields, const LocalRows& rows, std::span<const double> rhs);

/// One iteration; stops when |r| <= tolerance * |b|. @error invalid_argument  The matrix is not positive definite.
void iterate(phoenix::VNode& self, const Fields& fields, double tolerance);

/// Computes |b - A x| / |b| afresh.
void measure_residual(phoenix::VNode& self, const Fields& fields);

}  // namespace cg
