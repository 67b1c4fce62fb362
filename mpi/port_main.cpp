/// pflight-port: the port of a node as a rank of the mpirun that `pflight run --between mpi` starts for ports. All
/// that it must know comes by environment, one entry of a list for each node, in the order of ranks.

#include "carrier.hpp"
#include "control/attachment.hpp"
#include "launch.hpp"
#include "runtime/port.hpp"

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

namespace {

std::string variable(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? std::string{} : std::string{value};
}

std::string entry(std::string_view list, std::size_t index) {
    for (; index > 0; --index) {
        const std::size_t end = list.find(',');
        if (end == std::string_view::npos) return {};
        list.remove_prefix(end + 1);
    }
    return std::string{list.substr(0, list.find(','))};
}

std::uint64_t number(std::string_view text, int base) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value, base);
    return value;
}

}  // namespace

int main() {
    const std::string rank_text = variable("OMPI_COMM_WORLD_RANK");
    const std::uint64_t world = number(variable("PHOENIX_PORT_WORLD"), 16);
    if (rank_text.empty() || world == 0) {
        std::fputs("pflight-port is started by 'pflight run --between mpi'.\n", stderr);
        return 2;
    }
    const std::size_t rank = number(rank_text, 10);
    // One thread yet.
    setenv(phoenix::job_variable, (variable(phoenix::job_variable) + "." + rank_text).c_str(), 1);
    setenv(phoenix::agent_variable, entry(variable("PHOENIX_PORT_AGENTS"), rank).c_str(), 1);
    setenv(phoenix::port_address_variable, entry(variable("PHOENIX_PORT_ADDRESSES"), rank).c_str(), 1);
    const int status = phoenix::run_port([world] { return phoenix::mpi::make_carrier(world); });
    // Without MPI_Finalize, which waits for ranks that may be dead; and whatever MPI's threads are doing.
    std::fflush(nullptr);
    _exit(status);
}
