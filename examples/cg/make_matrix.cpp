// Writes a symmetric positive definite matrix as a Matrix Market file: heat conduction in a plate whose material varies
// from point to point by some orders of magnitude, so that conjugate gradients have something to do.

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fmt/format.h>

namespace {

/// In [1, 1000]: a hash of the link's number (splitmix64, S. Vigna), the same on every machine.
double conductivity(std::uint64_t seed, std::uint64_t link) {
    std::uint64_t bits = seed + (link + 1) * 0x9e3779b97f4a7c15ULL;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ULL;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebULL;
    return std::pow(1000.0, static_cast<double>((bits ^ (bits >> 31)) >> 11) * 0x1.0p-53);
}

struct Grid {
    std::uint64_t rows{30};
    std::uint64_t columns{30};
    std::uint64_t seed{1};

    /// Of the link from point (i, j) to the one on its right or below it; 0 where there is none.
    [[nodiscard]] double right(std::uint64_t i, std::uint64_t j) const {
        return j + 1 < columns ? conductivity(seed, 2 * (i * columns + j)) : 0;
    }
    [[nodiscard]] double below(std::uint64_t i, std::uint64_t j) const {
        return i + 1 < rows ? conductivity(seed, 2 * (i * columns + j) + 1) : 0;
    }
};

void write(const Grid& grid) {
    const std::uint64_t points = grid.rows * grid.columns;
    const std::uint64_t links = grid.rows * (grid.columns - 1) + (grid.rows - 1) * grid.columns;
    fmt::print("%%MatrixMarket matrix coordinate real symmetric\n% {}x{} points, seed {}\n{} {} {}\n", grid.rows,
               grid.columns, grid.seed, points, points, points + links);
    for (std::uint64_t i = 0; i < grid.rows; ++i)
        for (std::uint64_t j = 0; j < grid.columns; ++j) {
            const std::uint64_t point = i * grid.columns + j + 1;
            const double right = grid.right(i, j);
            const double below = grid.below(i, j);
            // A little heat leaves every point, which makes the matrix definite.
            double diagonal = 0.01 + right + below;
            if (j > 0) diagonal += grid.right(i, j - 1);
            if (i > 0) diagonal += grid.below(i - 1, j);
            fmt::print("{} {} {}\n", point, point, diagonal);
            if (right > 0) fmt::print("{} {} {}\n", point + 1, point, -right);
            if (below > 0) fmt::print("{} {} {}\n", point + grid.columns, point, -below);
        }
}

}  // namespace

int main(int argc, char** argv) {
    Grid grid;
    CLI::App app{"Writes a symmetric positive definite matrix (Matrix Market) to standard output."};
    app.add_option("--rows", grid.rows, "rows of points")->capture_default_str()->check(CLI::Range(1, 1'000'000));
    app.add_option("--columns", grid.columns, "columns of points")
        ->capture_default_str()
        ->check(CLI::Range(1, 1'000'000));
    app.add_option("--seed", grid.seed, "of the material")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    write(grid);
    return std::fflush(stdout) == 0 && std::ferror(stdout) == 0 ? 0 : 1;
}
