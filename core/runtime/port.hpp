#pragma once
/// The port: the process of a node that speaks with other nodes. It is in the member table, executes nothing and
/// decides nothing; what it must not forget is in shared memory, so that another may take its place at any moment.

#include "transport/carrier.hpp"

#include <functional>
#include <memory>

namespace phoenix {

/// Address to listen at, by environment; 127.0.0.1 if there is none.
inline constexpr const char* port_address_variable = "PHOENIX_PORT_ADDRESS";
/// Smallest payload for the carrier, in bytes, by environment.
inline constexpr const char* carry_from_variable = "PHOENIX_CARRY_FROM";

/// Serves as the port of the node whose job the environment names, until all members of all nodes have left, or the job
/// has failed. Returns an exit status; a failure has been said on stderr.
/// @param make_carrier  Makes what carries large payloads to ports that have one as well; none: all goes over TCP.
/// @threads The main thread of a process of its own; makes one more.
[[nodiscard]] int run_port(const std::function<std::unique_ptr<Carrier>()>& make_carrier = {});

}  // namespace phoenix
