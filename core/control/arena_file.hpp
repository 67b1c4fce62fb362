#pragma once
/// The arena of a job among the open files of its processes, for those to whom nobody has handed it.

#include "base/process.hpp"
#include "memory/control_segment.hpp"

#include <sys/types.h>

namespace phoenix {

/// The arena that process `pid` has open; not valid() if it has none or does not let its files be seen: that needs the
/// same user and a dumpable process (proc(5), /proc/PID/fd).
[[nodiscard]] FileDescriptor arena_of_process(pid_t pid);

/// The same of any living member but this process. When the launcher was killed its members hold the arena.
[[nodiscard]] FileDescriptor arena_of_members(const ControlSegment& segment);

}  // namespace phoenix
