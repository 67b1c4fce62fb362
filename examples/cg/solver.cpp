#include "cg/solver.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace cg {

namespace {

constexpr std::uint32_t vector_tag = 0;

double dot(std::span<const double> a, std::span<const double> b) noexcept {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

template <typename T>
void store(const phoenix::ArrayView<T>& part, std::span<const T> values) {
    std::ranges::copy(values, part.flat().begin());
}

/// Copies a two-buffer part that this step does not change.
template <typename T>
void keep(const phoenix::FieldPart<T>& part) {
    std::ranges::copy(part.now().flat(), part.next().flat().begin());
}

/// A times the vector of which every VNode has `own`; exactly the entries needed are exchanged.
std::vector<double> times_matrix(phoenix::VNode& self, const Fields& fields, std::span<const double> own) {
    const auto peers = self[fields.peers].now().flat();
    const auto gives = self[fields.gives].now().flat();
    for (const Peer& peer : peers) {
        auto room = self.loan<double>(peer.give_count);
        const auto wanted = gives.subspan(peer.give_begin, peer.give_count);
        std::ranges::transform(wanted, room.values().begin(), [own](std::uint32_t row) { return own[row]; });
        room.send(peer.vnode, vector_tag);
    }
    const auto layout = self[fields.layout].now().flat();
    std::vector<double> extended(layout[1]);
    std::ranges::copy(own, extended.begin() + layout[0]);
    for (const Peer& peer : peers)
        self.receive(peer.vnode, vector_tag, std::span{extended}.subspan(peer.need_begin, peer.need_count));
    std::vector<double> product(own.size());
    multiply(self[fields.row_begin].now().flat(), self[fields.columns].now().flat(), self[fields.values].now().flat(),
             extended, product);
    return product;
}

template <std::size_t N>
std::array<double, N> sum_over_vnodes(phoenix::VNode& self, std::array<double, N> values) {
    self.all_reduce(phoenix::sum, std::span<double>{values});
    return values;
}

void keep_all(phoenix::VNode& self, const Fields& fields) {
    keep(self[fields.x]);
    keep(self[fields.r]);
    keep(self[fields.p]);
    keep(self[fields.scalars]);
}

}  // namespace

Fields declare_fields(phoenix::Domain& domain, std::span<const std::uint64_t> boundaries) {
    const std::vector<std::uint64_t> bounds{boundaries.begin(), boundaries.end()};
    const auto rows = [bounds](std::uint32_t v) { return phoenix::Shape{bounds[v + 1] - bounds[v]}; };
    const auto none = phoenix::Shape{0};
    const phoenix::FieldOptions list{.resizable = true};
    const phoenix::FieldOptions flipped{.buffers = 2};
    Fields fields;
    fields.row_begin = domain.field<std::uint32_t>("row_begin", none, list);
    fields.columns = domain.field<std::uint32_t>("columns", none, list);
    fields.values = domain.field<double>("values", none, list);
    fields.peers = domain.field<Peer>("peers", none, list);
    fields.gives = domain.field<std::uint32_t>("gives", none, list);
    fields.layout = domain.field<std::uint32_t>("layout", phoenix::Shape{2});
    fields.inverse_diagonal = domain.field<double>("inverse_diagonal", rows);
    fields.rhs = domain.field<double>("rhs", rows);
    fields.x = domain.field<double>("x", rows, flipped);
    fields.r = domain.field<double>("r", rows, flipped);
    fields.p = domain.field<double>("p", rows, flipped);
    fields.scalars = domain.field<Scalars>("scalars", phoenix::Shape{1}, flipped);
    return fields;
}

void set_first_values(phoenix::VNode& self, const Fields& fields, const LocalRows& rows, std::span<const double> rhs) {
    const auto store_list = [&self]<typename T>(phoenix::Field<T> field, const std::vector<T>& values) {
        store(self[field].resize(values.size()), std::span<const T>{values});
    };
    store_list(fields.row_begin, rows.row_begin);
    store_list(fields.columns, rows.columns);
    store_list(fields.values, rows.values);
    store_list(fields.peers, rows.peers);
    store_list(fields.gives, rows.gives);
    const std::array<std::uint32_t, 2> layout{rows.own_begin, rows.extended};
    store(self[fields.layout].write(), std::span<const std::uint32_t>{layout});
    store(self[fields.rhs].write(), rhs);
    const auto inverse = self[fields.inverse_diagonal].write();
    const auto x = self[fields.x].next();
    const auto r = self[fields.r].next();
    const auto p = self[fields.p].next();
    for (std::size_t row = 0; row < rhs.size(); ++row) {
        for (std::uint32_t i = rows.row_begin[row]; i < rows.row_begin[row + 1]; ++i)
            if (rows.columns[i] == rows.own_begin + row) inverse[row] = 1 / rows.values[i];
        x[row] = 0;
        r[row] = rhs[row];
        p[row] = inverse[row] * rhs[row];
    }
    self[fields.scalars].next()[0] = {};
}

void iterate(phoenix::VNode& self, const Fields& fields, double tolerance) {
    const auto inverse = self[fields.inverse_diagonal].now().flat();
    const auto x = self[fields.x].now().flat();
    const auto r = self[fields.r].now().flat();
    const auto p = self[fields.p].now().flat();
    Scalars scalars = self[fields.scalars].now()[0];
    if (self.step() == 0) {
        const auto b = self[fields.rhs].now().flat();
        const auto sums = sum_over_vnodes<2>(self, {dot(r, p), dot(b, b)});  // p is z here
        scalars.rho = sums[0];
        scalars.rhs_square = sums[1];
        if (scalars.rhs_square == 0) {  // the solution is 0, which x is
            keep_all(self, fields);
            self.stop();
            return;
        }
    }

    const std::vector<double> q = times_matrix(self, fields, p);
    const double curvature = self.all_reduce(phoenix::sum, dot(p, q));
    if (!(curvature > 0))
        throw phoenix::Error{phoenix::Errc::invalid_argument,
                             "the matrix is not positive definite: p . A p is not positive"};
    const double alpha = scalars.rho / curvature;
    const auto x_next = self[fields.x].next().flat();
    const auto r_next = self[fields.r].next().flat();
    std::vector<double> z(p.size());
    for (std::size_t i = 0; i < p.size(); ++i) {
        x_next[i] = x[i] + alpha * p[i];
        r_next[i] = r[i] - alpha * q[i];
        z[i] = inverse[i] * r_next[i];
    }
    const auto sums = sum_over_vnodes<2>(self, {dot(r_next, z), dot(r_next, r_next)});
    const double beta = sums[0] / scalars.rho;
    const auto p_next = self[fields.p].next().flat();
    for (std::size_t i = 0; i < p.size(); ++i) p_next[i] = z[i] + beta * p[i];
    scalars.rho = sums[0];
    self[fields.scalars].next()[0] = scalars;
    // Without a tolerance all iterations are done, unless there is nothing left to divide by.
    if (std::sqrt(sums[1]) <= tolerance * std::sqrt(scalars.rhs_square) || sums[0] == 0) self.stop();
}

void measure_residual(phoenix::VNode& self, const Fields& fields) {
    const std::vector<double> product = times_matrix(self, fields, self[fields.x].now().flat());
    const auto b = self[fields.rhs].now().flat();
    double square = 0;
    for (std::size_t i = 0; i < b.size(); ++i) square += (b[i] - product[i]) * (b[i] - product[i]);
    const double total = self.all_reduce(phoenix::sum, square);
    keep_all(self, fields);
    Scalars& scalars = self[fields.scalars].next()[0];
    scalars.residual = scalars.rhs_square == 0 ? 0 : std::sqrt(total) / std::sqrt(scalars.rhs_square);
}

}  // namespace cg
