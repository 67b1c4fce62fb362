#pragma once
/// A job's shared memory for tests, and child processes that meet it as members do.

#include "memory/arena.hpp"

#include <atomic>
#include <csignal>
#include <cstdint>
#include <exception>
#include <fcntl.h>
#include <fmt/format.h>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace phoenix::testing_tools {

/// An id that no other test process and no other test in this one has.
inline std::string unique_job_id() {
    static std::atomic<int> number{0};
    return fmt::format("unit-{}-{}", getpid(), number++);
}

template <typename T>
T value_or_throw(tl::expected<T, Failure> result) {
    if (!result) throw std::runtime_error{result.error().sentence};
    return std::move(*result);
}

/// Control segment and arena of a job founded by this process; the names go with it.
class TestJob {
  public:
    /// `room`: bytes the arena has beyond its extent table; 0: as much as the machine.
    explicit TestJob(std::uint64_t room = 0, bool named = false)
        : segment{value_or_throw(ControlSegment::create(unique_job_id()))} {
        FileDescriptor file = value_or_throw(Arena::create(segment, named));
        if (room != 0) segment.header().arena_size_max = extent_table_end + room;
        arena = value_or_throw(Arena::map(segment, std::move(file)));
        segment.publish();
    }
    TestJob(const TestJob&) = delete;
    TestJob& operator=(const TestJob&) = delete;
    ~TestJob() { ControlSegment::remove(segment.job_id()); }

    /// A mapping of one's own: forked children have none, and a second one stands for another member.
    [[nodiscard]] Arena map_again() const {
        return value_or_throw(Arena::map(segment, FileDescriptor{fcntl(arena.descriptor(), F_DUPFD_CLOEXEC, 0)}));
    }

    ControlSegment segment;
    Arena arena;
};

/// Runs `body` in a forked process that does not outlive the test; `body` returns the exit status.
class ChildProcess {
  public:
    static constexpr int threw = 99;

    template <typename Body>
    explicit ChildProcess(Body&& body) {
        const pid_t parent = getpid();
        pid_ = fork();
        if (pid_ != 0) return;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(threw);  // the parent died before the line above
        int status = threw;
        try {
            status = body();
        } catch (const std::exception& error) {
            fmt::print(stderr, "child: {}\n", error.what());
        }
        _exit(status);
    }
    ChildProcess(const ChildProcess&) = delete;
    ChildProcess& operator=(const ChildProcess&) = delete;
    ~ChildProcess() {
        if (pid_ > 0) static_cast<void>(killed());
    }

    [[nodiscard]] pid_t pid() const { return pid_; }
    /// Waits for its end; exit status, or minus the signal that ended it.
    [[nodiscard]] int ended() {
        int status = 0;
        if (waitpid(std::exchange(pid_, -1), &status, 0) < 0) return threw;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    /// Kills it at whatever it does; as ended().
    [[nodiscard]] int killed() {
        kill(pid_, SIGKILL);
        return ended();
    }

  private:
    pid_t pid_{-1};
};

}  // namespace phoenix::testing_tools
