#pragma once

#include "transport/workload.hpp"

namespace transport_bench {

/// Runs the case over hubs, or over bare sockets, and prints its samples.
bool run_ours(const Case& what);
bool run_sockets(const Case& what);

}  // namespace transport_bench
