// An application that uses MPI itself: it initialises MPI, sends over it before the first step, and finalises it at the
// end, when ranks may have died. Prints the number of steps done, once.

#include <cstdio>
#include <mpi.h>
#include <phoenix/mpi.hpp>
#include <phoenix/phoenix.hpp>

int main(int argc, char** argv) {
    int level = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    // Traffic between all ranks, so that connections to the one that dies are open.
    int rank = 0;
    int sum = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    {
        phoenix::Runtime runtime{argc, argv, &phoenix::mpi_world()};
        auto domain = runtime.domain("counter", {.vnodes = 16});
        const auto count = domain.field<int>("count", phoenix::Shape{1}, {.buffers = 2});
        domain.initialise([&](phoenix::VNode& self) { self[count].next()[0] = 0; });
        domain.run(50, [&](phoenix::VNode& self) {
            self[count].next()[0] = self[count].now()[0] + 1;
            self.barrier();
        });
        domain.gather(count, [&](const phoenix::Gathered<int>& whole) {
            std::printf("steps: %d, sum of ranks: %d\n", whole[7][0], sum);
            std::fflush(stdout);
        });
    }
    return MPI_Finalize() == MPI_SUCCESS ? 0 : 1;
}
