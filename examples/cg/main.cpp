// Conjugate gradients on a Matrix Market file, rows distributed over VNodes.

#include "cg/options.hpp"
#include "cg/problem.hpp"
#include "cg/solver.hpp"
#include "support/digest.hpp"
#include "support/launch.hpp"

#include <cstring>
#include <fmt/format.h>
#include <phoenix/phoenix.hpp>

namespace {

/// The division of the rows, as bytes that once() records: members that come late need not read the matrix for it.
std::string to_text(const std::vector<std::uint64_t>& boundaries) {
    return {reinterpret_cast<const char*>(boundaries.data()), boundaries.size() * sizeof boundaries[0]};
}
std::vector<std::uint64_t> from_text(const std::string& text) {
    std::vector<std::uint64_t> boundaries(text.size() / sizeof(std::uint64_t));
    std::memcpy(boundaries.data(), text.data(), text.size());
    return boundaries;
}

std::string digest_of(const phoenix::Gathered<double>& x) {
    support::Digest digest;
    for (std::uint32_t v = 0; v < x.vnodes(); ++v) digest.add(x[v].flat());
    return digest.text();
}

void report(const cg::Options& options, const phoenix::RunResult& result, double residual, const std::string& digest) {
    fmt::print("iterations: {}\nrelative residual: {:.3e}\n", result.steps, residual);
    if (options.digest) fmt::print("digest: {}\n", digest);
    if (options.tolerance > 0 && !result.stopped)
        throw phoenix::Error{phoenix::Errc::invalid_argument,
                             fmt::format("not converged to {} in {} iterations; raise --max-iterations or --tolerance",
                                         options.tolerance, result.steps)};
}

}  // namespace

int main(int argc, char** argv) {
    const support::CommandLine<cg::Options> line = cg::parse_options(argc, argv);
    if (!line.help.empty()) {
        fmt::print("{}", line.help);
        return 0;
    }
    const cg::Options& options = line.options;
    phoenix::Runtime runtime{argc, argv, support::launch_world()};
    cg::Problem problem{options};
    const std::vector<std::uint64_t> boundaries = from_text(runtime.once("prepare", [&] {
        if (!line.mistake.empty()) throw phoenix::Error{phoenix::Errc::invalid_argument, line.mistake};
        (void)problem.right_hand_side();  // finds what is wrong with it now
        return to_text(cg::divide_rows(problem.matrix(), options.vnodes));
    }));

    auto domain = runtime.domain("cg", {.vnodes = options.vnodes});
    const cg::Fields fields = cg::declare_fields(domain, boundaries);
    domain.initialise([&](phoenix::VNode& self) {
        const std::uint32_t v = self.index();
        const auto rhs = std::span{problem.right_hand_side()}.subspan(boundaries[v], boundaries[v + 1] - boundaries[v]);
        cg::set_first_values(self, fields, cg::local_rows(problem.matrix(), boundaries, v), rhs);
    });
    problem.forget();  // the rows are in fields now

    const phoenix::RunResult result =
        domain.run(options.max_iterations, [&](phoenix::VNode& self) { cg::iterate(self, fields, options.tolerance); });
    domain.run(1, [&](phoenix::VNode& self) { cg::measure_residual(self, fields); });

    const auto residual =
        domain.gather(fields.scalars, [](const phoenix::Gathered<cg::Scalars>& all) { return all[0][0].residual; });
    const auto digest = domain.gather(fields.x, digest_of);
    runtime.once("report", [&] { report(options, result, residual, digest); });
    return 0;
}
