// The same with MPI: a blocking MPI_Comm_spawn of one process in each round; and messages of 8 bytes between a spawned
// process and the one that spawned it.
//
//   bench_join_mpi stall [ROUNDS]      started with mpirun -n N
//   bench_join_mpi latency

#include "join/workload.hpp"
#include "support/pinning.hpp"

#include <cstdlib>
#include <cstring>
#include <mpi.h>

namespace {

constexpr int round_trips = 2000;
constexpr int samples = 50;
constexpr int warm_up = 5;

MPI_Comm spawn(const char* program, const char* how) {
    char* arguments[] = {const_cast<char*>(how), nullptr};
    MPI_Comm children = MPI_COMM_NULL;
    MPI_Comm_spawn(program, arguments, 1, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &children, MPI_ERRCODES_IGNORE);
    return children;
}

void exchange(MPI_Comm peer, bool first) {
    std::uint64_t value = 0;
    std::vector<double> samples_ns;
    for (int sample = 0; sample < samples + warm_up; ++sample) {
        const std::int64_t began = bench::now_ns();
        for (int trip = 0; trip < round_trips; ++trip) {
            if (first) MPI_Send(&value, 1, MPI_UINT64_T, 0, 0, peer);
            MPI_Recv(&value, 1, MPI_UINT64_T, 0, 0, peer, MPI_STATUS_IGNORE);
            if (!first) MPI_Send(&++value, 1, MPI_UINT64_T, 0, 0, peer);
        }
        if (sample >= warm_up) samples_ns.push_back(static_cast<double>(bench::now_ns() - began) / (2.0 * round_trips));
    }
    if (first) bench::print_samples("8B", samples_ns, value == std::uint64_t{samples + warm_up} * round_trips);
}

void run_stalls(int rank, const char* program, std::uint32_t rounds) {
    int ranks = 1;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    std::vector<std::int64_t> starts_ns;
    MPI_Comm children = MPI_COMM_NULL;
    for (std::uint64_t step = 0; step < std::uint64_t{rounds + 1} * join_bench::round_steps; ++step) {
        starts_ns.push_back(bench::now_ns());
        const std::uint64_t turn = step % join_bench::round_steps;
        if (step >= join_bench::round_steps && turn == 0) children = spawn(program, "leave");
        if (turn == join_bench::round_steps / 2 && children != MPI_COMM_NULL) MPI_Comm_disconnect(&children);
        for (std::uint32_t part = 0; part < join_bench::parts / static_cast<std::uint32_t>(ranks); ++part)
            join_bench::work_for(join_bench::part_ns);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    if (children != MPI_COMM_NULL) MPI_Comm_disconnect(&children);
    if (rank == 0) bench::print_samples("stall", join_bench::stalls_of(starts_ns), true);
}

}  // namespace

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm parent = MPI_COMM_NULL;
    MPI_Comm_get_parent(&parent);
    const char* mode = argc > 1 ? argv[1] : "stall";
    if (parent != MPI_COMM_NULL) {
        bench::pin_to_core(1);
        if (std::strcmp(mode, "exchange") == 0) exchange(parent, false);
        MPI_Comm_disconnect(&parent);
    } else if (std::strcmp(mode, "latency") == 0) {
        bench::pin_to_core(0);
        MPI_Comm child = spawn(argv[0], "exchange");
        exchange(child, true);
        MPI_Comm_disconnect(&child);
    } else {
        run_stalls(
            rank, argv[0],
            static_cast<std::uint32_t>(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : join_bench::rounds_usual));
    }
    MPI_Finalize();
    return 0;
}
