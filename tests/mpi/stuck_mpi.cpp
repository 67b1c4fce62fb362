/// Preloaded into ports: after some calls MPI_Test does not return any more.

#include <atomic>
#include <cstdlib>
#include <mpi.h>
#include <unistd.h>

extern "C" int MPI_Test(MPI_Request* request, int* flag, MPI_Status* status) {
    static std::atomic<long> left{std::atol(std::getenv("STUCK_AFTER"))};
    if (left.fetch_sub(1) <= 0)
        for (;;) pause();
    return PMPI_Test(request, flag, status);
}
