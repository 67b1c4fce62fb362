// The same ping-pong between two ranks of MPI.

#include "pingpong/workload.hpp"
#include "support/pinning.hpp"
#include "support/samples.hpp"

#include <mpi.h>
#include <vector>

namespace {

using pingpong::Case;

void run_case(int rank, const Case& what) {
    std::vector<std::uint64_t> buffer(what.words, 1);
    std::vector<double> samples_ns;
    bool good = true;
    const int peer = 1 - rank;
    const int count = static_cast<int>(what.words);
    const auto send = [&](std::uint64_t number) {
        pingpong::write_message(buffer, number, what.filled);
        MPI_Send(buffer.data(), count, MPI_UINT64_T, peer, pingpong::message_tag, MPI_COMM_WORLD);
    };
    const auto receive = [&](std::uint64_t number) {
        MPI_Recv(buffer.data(), count, MPI_UINT64_T, peer, pingpong::message_tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        good = good && pingpong::right_message(buffer, number, what.filled);
    };
    std::uint64_t number = 0;
    for (std::uint32_t sample = 0; sample < what.samples + what.warm_up(); ++sample) {
        MPI_Barrier(MPI_COMM_WORLD);
        const std::int64_t began = bench::now_ns();
        for (std::uint32_t trip = 0; trip < what.round_trips; ++trip, number += 2) {
            if (rank == 0) {
                send(number);
                receive(number + 1);
            } else {
                receive(number);
                send(number + 1);
            }
        }
        if (sample >= what.warm_up())
            samples_ns.push_back(static_cast<double>(bench::now_ns() - began) / (2.0 * what.round_trips));
    }
    int mine = good ? 1 : 0;
    int all = 0;
    MPI_Reduce(&mine, &all, 1, MPI_INT, MPI_MIN, 0, MPI_COMM_WORLD);
    if (rank == 0) bench::print_samples(what.name, samples_ns, all == 1);
}

}  // namespace

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    int rank = 0;
    int ranks = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (ranks != 2) {
        if (rank == 0) fmt::print(stderr, "bench_pingpong_mpi: 2 ranks are needed, not {}; mpirun -n 2\n", ranks);
        MPI_Finalize();
        return 2;
    }
    bench::pin_to_core(static_cast<unsigned>(rank));
    for (const Case& what : pingpong::cases) run_case(rank, what);
    MPI_Finalize();
    return 0;
}
