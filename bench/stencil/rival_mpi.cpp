// The plate by hand: a slab of rows in each rank, edges exchanged with MPI, nothing survives a death.
// Arguments: rows, columns, steps. Prints what a step took and the digest that `plate --digest` prints.

#include "plate/relax.hpp"
#include "support/digest.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fmt/format.h>
#include <mpi.h>
#include <utility>
#include <vector>

namespace {

constexpr double hot = 100;  // as in examples/plate

/// Rows of one rank with a halo row at each end.
struct Slab {
    std::size_t columns;
    std::size_t rows;
    std::size_t first_row;
    std::vector<double> now;
    std::vector<double> next;

    [[nodiscard]] double* row(std::vector<double>& values, std::size_t i) const {
        return values.data() + (i + 1) * columns;
    }
};

Slab make_slab(std::size_t rows, std::size_t columns, std::size_t rank, std::size_t ranks) {
    const auto begin = [&](std::size_t index) { return rows / ranks * index + std::min(index, rows % ranks); };
    Slab slab{columns, begin(rank + 1) - begin(rank), begin(rank), {}, {}};
    slab.now.assign((slab.rows + 2) * columns, 0.0);
    if (rank == 0) std::fill_n(slab.row(slab.now, 0), columns, hot);
    slab.next = slab.now;
    return slab;
}

void exchange(Slab& slab, int above, int below) {
    const int count = static_cast<int>(slab.columns);
    std::array<MPI_Request, 4> requests{};
    MPI_Irecv(slab.now.data(), count, MPI_DOUBLE, above, 0, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(slab.row(slab.now, slab.rows), count, MPI_DOUBLE, below, 1, MPI_COMM_WORLD, &requests[1]);
    MPI_Isend(slab.row(slab.now, 0), count, MPI_DOUBLE, above, 1, MPI_COMM_WORLD, &requests[2]);
    MPI_Isend(slab.row(slab.now, slab.rows - 1), count, MPI_DOUBLE, below, 0, MPI_COMM_WORLD, &requests[3]);
    MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
}

/// Renews all points but those on the rim of the plate, which both buffers hold from the start.
void relax(Slab& slab, std::size_t rows_of_plate) {
    const std::size_t skip = slab.first_row == 0 ? 1 : 0;
    const std::size_t end = slab.first_row + slab.rows == rows_of_plate ? slab.rows - 1 : slab.rows;
    if (skip >= end || slab.columns < 3) return;
    const auto stride = static_cast<std::ptrdiff_t>(slab.columns);
    plate::relax(
        {slab.row(slab.now, skip) + 1, slab.row(slab.next, skip) + 1, stride, stride, end - skip, slab.columns - 2});
}

std::string digest_of(Slab& slab, int rank, int ranks) {
    const int count = static_cast<int>(slab.rows * slab.columns);
    if (rank != 0) {
        MPI_Send(slab.row(slab.now, 0), count, MPI_DOUBLE, 0, 2, MPI_COMM_WORLD);
        return {};
    }
    support::Digest digest;
    digest.add({slab.row(slab.now, 0), static_cast<std::size_t>(count)});
    std::vector<double> other(static_cast<std::size_t>(count));
    for (int source = 1; source < ranks; ++source) {
        MPI_Status status;
        MPI_Recv(other.data(), count, MPI_DOUBLE, source, 2, MPI_COMM_WORLD, &status);
        int received = 0;
        MPI_Get_count(&status, MPI_DOUBLE, &received);
        digest.add({other.data(), static_cast<std::size_t>(received)});
    }
    return digest.text();
}

}  // namespace

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    int rank = 0;
    int ranks = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const auto argument = [&](int index, long usual) {
        return static_cast<std::size_t>(argc > index ? std::atol(argv[index]) : usual);
    };
    const std::size_t rows = argument(1, 1024);
    const std::size_t columns = argument(2, 1024);
    const std::size_t steps = argument(3, 200);
    Slab slab = make_slab(rows, columns, static_cast<std::size_t>(rank), static_cast<std::size_t>(ranks));
    const int above = rank == 0 ? MPI_PROC_NULL : rank - 1;
    const int below = rank + 1 == ranks ? MPI_PROC_NULL : rank + 1;
    MPI_Barrier(MPI_COMM_WORLD);
    const double began = MPI_Wtime();
    for (std::size_t step = 0; step < steps; ++step) {
        exchange(slab, above, below);
        relax(slab, rows);
        std::swap(slab.now, slab.next);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    const double seconds = MPI_Wtime() - began;
    const std::string digest = digest_of(slab, rank, ranks);
    if (rank == 0)
        fmt::print("{{\"step_ms\": {:.5f}, \"digest\": \"{}\"}}\n", seconds * 1e3 / static_cast<double>(steps), digest);
    MPI_Finalize();
    return 0;
}
