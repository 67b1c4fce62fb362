#pragma once
/// What the command line of cg asks for.

#include "support/command_line.hpp"

#include <cstdint>
#include <string>

namespace cg {

struct Options {
    std::string matrix_file;
    std::string rhs_file;  ///< Empty: A times a vector of ones.
    std::uint32_t vnodes = 16;
    double tolerance = 1e-8;  ///< Of the relative residual; 0: do all iterations.
    std::uint64_t max_iterations = 10'000;
    bool digest = false;
};

[[nodiscard]] inline support::CommandLine<Options> parse_options(int argc, const char* const* argv) {
    return support::parse_command_line<Options>(
        argc, argv, "Conjugate gradients, preconditioned by the diagonal, on a symmetric positive definite matrix.",
        [](CLI::App& app, Options& options) {
            app.add_option("--matrix", options.matrix_file, "Matrix Market file: matrix coordinate real symmetric")
                ->required();
            app.add_option("--rhs", options.rhs_file,
                           "right-hand side, Matrix Market file: matrix array real general (default A times ones)");
            app.add_option("--vnodes", options.vnodes, "number of VNodes the rows are divided among")
                ->capture_default_str();
            app.add_option("--tolerance", options.tolerance, "relative residual to reach; 0: do all iterations")
                ->capture_default_str();
            app.add_option("--max-iterations", options.max_iterations, "iterations to do at most")
                ->capture_default_str();
            app.add_flag("--digest", options.digest, "print a digest of the solution");
        },
        [](const Options& options) -> std::string {
            if (options.vnodes == 0) return "--vnodes must be at least 1";
            if (!(options.tolerance >= 0)) return "--tolerance must be 0 or more";
            if (options.max_iterations == 0) return "--max-iterations must be at least 1";
            return {};
        });
}

}  // namespace cg
