#pragma once
/// The same placement for both sides of a comparison.

#include <sched.h>
#include <unistd.h>

namespace bench {

/// Binds the calling thread to core `index` modulo the cores of this machine.
inline void pin_to_core(unsigned index) noexcept {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(index % static_cast<unsigned>(sysconf(_SC_NPROCESSORS_ONLN)), &set);
    // Where it is refused both sides run unbound.
    (void)sched_setaffinity(0, sizeof set, &set);
}

}  // namespace bench
