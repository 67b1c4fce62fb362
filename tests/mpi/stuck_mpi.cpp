/// Preloaded into ports: after STUCK_AFTER calls MPI_Test does not return any more, the ranks
/// DIES_IN_INIT and DIES_BEFORE_IT_SERVES die there.

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mpi.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" int MPI_Test(MPI_Request* request, int* flag, MPI_Status* status) {
    const char* const after = std::getenv("STUCK_AFTER");
    if (after == nullptr) return PMPI_Test(request, flag, status);
    static std::atomic<long> left{std::atol(after)};
    if (left.fetch_sub(1) <= 0)
        for (;;) pause();
    return PMPI_Test(request, flag, status);
}

namespace {

void die_if_told(const char* where) {
    const char* const told = std::getenv(where);
    const char* const rank = std::getenv("OMPI_COMM_WORLD_RANK");
    if (told != nullptr && rank != nullptr && std::strcmp(told, rank) == 0) kill(getpid(), SIGKILL);
}

}  // namespace

extern "C" int MPI_Init_thread(int* argc, char*** argv, int required, int* provided) {
    die_if_told("DIES_IN_INIT");
    return PMPI_Init_thread(argc, argv, required, provided);
}

/// The carrier makes one when the port has a slot and does not serve yet.
extern "C" int eventfd(unsigned count, int flags) {
    die_if_told("DIES_BEFORE_IT_SERVES");
    return static_cast<int>(syscall(SYS_eventfd2, count, flags));
}
