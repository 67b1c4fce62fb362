#pragma once
/// The mpirun whose ranks are the ports of a job's nodes, so that MPI can carry large payloads between them.
///
/// Nothing depends on it: ports speak TCP with each other before MPI is up, and go on so when it fails. A port that
/// dies is followed by one that its agent starts, without MPI.

#include "memory/control_segment.hpp"
#include "pflight/launcher.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix::pflight {

/// What a rank must know of its node.
struct PortSeat {
    std::string host;    ///< Empty: this machine.
    std::string agent;   ///< Socket of the node's agent.
    std::string listen;  ///< Address for its port.
};

struct PortWorld {
    std::string mpirun;
    std::vector<std::string> remote_shell;  ///< For mpirun; empty: its own choice.
    std::string job_id;
    std::string secret;
    std::uint64_t carry_from{0};  ///< Bytes; 0: the port's own choice.
    std::vector<PortSeat> seats;
    Environment exported;
};

/// Pure: what is executed for `world`; `number` is drawn for each.
[[nodiscard]] MpirunCall call_for_ports(const PortWorld& world, const std::string& program, std::uint64_t number);

class MpiPorts {
  public:
    MpiPorts() = default;
    /// Ends what is left of it, and waits for that.
    ~MpiPorts();
    MpiPorts(const MpiPorts&) = delete;
    MpiPorts& operator=(const MpiPorts&) = delete;

    [[nodiscard]] tl::expected<void, Failure> start(const PortWorld& world);
    /// A sentence, once, if it has ended. To be asked as long as ports are expected to come.
    [[nodiscard]] std::optional<std::string> ended();
    /// For poll(): readable once it has ended; -1: it does not run.
    [[nodiscard]] int descriptor() const noexcept { return handle_.valid() ? handle_.descriptor() : -1; }

  private:
    pid_t pid_{0};
    ProcessHandle handle_;
};

}  // namespace phoenix::pflight
