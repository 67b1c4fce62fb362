#pragma once
/// Runs a job from its start to its end, on one node or several.

#include "pflight/run_options.hpp"

namespace phoenix::pflight {

/// Returns the exit status; what went wrong has been said. Blocks the signals that supervision takes.
[[nodiscard]] int run_job(const RunOptions& options);

}  // namespace phoenix::pflight
