#include "pflight/mpi_ports.hpp"

#include "control/attachment.hpp"
#include "pflight/program.hpp"
#include "pflight/verdict.hpp"
#include "runtime/port.hpp"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

namespace phoenix::pflight {

namespace {

// For mpirun to take its daemons with it.
constexpr int polite_end_ms = 5'000;

std::string list_of(const std::vector<PortSeat>& seats, std::string PortSeat::*part) {
    std::vector<std::string> entries;
    for (const PortSeat& seat : seats) entries.push_back(seat.*part);
    return fmt::format("{}", fmt::join(entries, ","));
}

}  // namespace

MpirunCall call_for_ports(const PortWorld& world, const std::string& program, std::uint64_t number) {
    MpirunCall call;
    call.mpirun = world.mpirun;
    call.ranks = static_cast<std::uint32_t>(world.seats.size());
    call.program.path = program;
    call.program.environment = {{job_variable, world.job_id},
                                {secret_variable, world.secret},
                                {"PHOENIX_PORT_WORLD", fmt::format("{:x}", number)},
                                {"PHOENIX_PORT_AGENTS", list_of(world.seats, &PortSeat::agent)},
                                {"PHOENIX_PORT_ADDRESSES", list_of(world.seats, &PortSeat::listen)}};
    if (world.carry_from != 0)
        call.program.environment.emplace_back(carry_from_variable, std::to_string(world.carry_from));
    call.program.environment.insert(call.program.environment.end(), world.exported.begin(), world.exported.end());
    call.free = true;
    // What a rank's MPI thinks of a peer's death is no news for the user; what mpirun cannot start is.
    call.more = {"-x", "OPAL_OUTPUT_REDIRECT=syslog"};
    const auto add = [&](std::initializer_list<std::string> words) {
        call.more.insert(call.more.end(), words.begin(), words.end());
    };
    if (world.seats.front().host.empty()) {
        // Emulated nodes: as between machines, and nothing in /dev/shm that a port which is killed would leave there.
        add({"--mca", "pml", "ob1", "--mca", "btl", "self,tcp"});
        return call;
    }
    std::vector<std::string> hosts;
    for (const PortSeat& seat : world.seats) hosts.push_back(seat.host + ":1");
    add({"--host", fmt::format("{}", fmt::join(hosts, ",")), "--map-by", "node"});
    if (!world.remote_shell.empty())
        add({"--mca", "plm_rsh_agent", fmt::format("{}", fmt::join(world.remote_shell, " "))});
    return call;
}

tl::expected<void, Failure> MpiPorts::start(const PortWorld& world) {
    const std::string program = (std::filesystem::path{own_program()}.parent_path() / "pflight-port").string();
    if (access(program.c_str(), X_OK) != 0)
        return refusal(Errc::system, fmt::format("'{}' is missing; build with -DPHOENIX_MPI=ON.", program));
    std::uint64_t number = 0;
    while (number == 0)
        if (getrandom(&number, sizeof number, 0) != sizeof number)
            return refusal(Errc::system, "The kernel gives no random numbers.");
    const auto pid = start_mpirun(call_for_ports(world, program, number));
    if (!pid) return tl::unexpected(pid.error());
    pid_ = *pid;
    handle_ = ProcessHandle{{pid_, start_time_of(pid_)}};
    return {};
}

std::optional<std::string> MpiPorts::ended() {
    if (!handle_.valid() || !handle_.dead()) return std::nullopt;
    int status = 0;
    waitpid(pid_, &status, 0);
    handle_ = ProcessHandle{};
    return WIFEXITED(status) ? fmt::format("exit status {}", WEXITSTATUS(status)) : signal_name(WTERMSIG(status));
}

MpiPorts::~MpiPorts() {
    if (!handle_.valid()) return;
    for (const int number : {SIGTERM, SIGKILL}) {
        handle_.signal(number);
        pollfd wait{handle_.descriptor(), POLLIN, 0};
        while (poll(&wait, 1, polite_end_ms) < 0 && errno == EINTR) {
        }
        if (handle_.dead()) break;
    }
    waitpid(pid_, nullptr, handle_.dead() ? 0 : WNOHANG);
}

}  // namespace phoenix::pflight
