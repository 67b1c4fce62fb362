#pragma once
/// Processes of this machine: identity that survives pid reuse, death notice, killing through a pidfd only.

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <utility>

namespace phoenix {

/// A file descriptor that closes itself. Move-only.
class FileDescriptor {
  public:
    FileDescriptor() = default;
    explicit FileDescriptor(int descriptor) noexcept : descriptor_(descriptor) {}
    FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    FileDescriptor& operator=(FileDescriptor&& other) noexcept;
    FileDescriptor(const FileDescriptor&) = delete;
    FileDescriptor& operator=(const FileDescriptor&) = delete;
    ~FileDescriptor();

    [[nodiscard]] int get() const noexcept { return descriptor_; }
    [[nodiscard]] bool valid() const noexcept { return descriptor_ >= 0; }
    [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, -1); }

  private:
    int descriptor_{-1};
};

/// A process named so that a reused pid is never taken for it.
struct ProcessIdentity {
    pid_t pid{};
    std::uint64_t start_time{};  ///< Field 22 of /proc/PID/stat, clock ticks since boot; 0 if unknown.
    friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

/// Start time of `pid`, 0 if there is no such process (a zombie still has one).
[[nodiscard]] std::uint64_t start_time_of(pid_t pid) noexcept;
[[nodiscard]] ProcessIdentity own_identity() noexcept;
/// Name under which this program was started, without folders.
[[nodiscard]] std::string program_name();

/// True if the process runs (is neither gone nor a zombie) and is the one meant.
[[nodiscard]] bool is_alive(ProcessIdentity identity) noexcept;

/// True if a debugger is attached to `pid`: such a member must not be declared failed.
[[nodiscard]] bool is_traced(pid_t pid) noexcept;
/// Stopped by a signal (SIGSTOP and its like).
[[nodiscard]] bool is_stopped(pid_t pid) noexcept;

/// Handle on a process. The pidfd is opened first and the start time compared after, so that it never names a
/// stranger that got the pid in between.
class ProcessHandle {
  public:
    ProcessHandle() = default;
    /// Not valid() if the process is gone already, or the system is out of descriptors.
    explicit ProcessHandle(ProcessIdentity identity) noexcept;

    [[nodiscard]] bool valid() const noexcept { return pidfd_.valid(); }
    [[nodiscard]] int descriptor() const noexcept { return pidfd_.get(); }  ///< For poll(): readable once dead.
    [[nodiscard]] bool dead() const noexcept;  ///< Seen dead: never said of a living process.
    bool signal(int number) const noexcept;    ///< False if it is gone.

  private:
    ProcessIdentity identity_;
    FileDescriptor pidfd_;
};

}  // namespace phoenix
