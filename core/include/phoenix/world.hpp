#pragma once
/// What a launcher's own library (MPI) wants done at the start and the end of a process. The core knows nothing of it.

namespace phoenix {

/// Implemented by phoenixflight::mpi. Threads: called by the main thread only.
class World {
  public:
    virtual ~World() = default;
    /// Before the process attaches to its job.
    virtual void begin(int& argc, char**& argv) = 0;
    /// When the runtime ends. `deaths`: members of the job died, so nothing collective may be called any more.
    virtual void end(bool deaths) = 0;
};

}  // namespace phoenix
