#include "base/process.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace phoenix {

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
        if (descriptor_ >= 0) close(descriptor_);
        descriptor_ = std::exchange(other.descriptor_, -1);
    }
    return *this;
}

FileDescriptor::~FileDescriptor() {
    if (descriptor_ >= 0) close(descriptor_);
}

namespace {

struct Stat {
    char state{'X'};
    std::uint64_t start_time{};
};

// Plain system calls: this runs in the service thread, possibly while the allocator is busy elsewhere.
Stat read_stat(pid_t pid) noexcept {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
    const FileDescriptor file{open(path, O_RDONLY | O_CLOEXEC)};
    if (!file.valid()) return {};
    char text[1024];
    const ssize_t size = read(file.get(), text, sizeof text - 1);
    if (size <= 0) return {};
    text[size] = '\0';
    // The command name may hold blanks and parentheses; the last ')' ends it.
    const char* cursor = std::strrchr(text, ')');
    if (cursor == nullptr || cursor[1] != ' ') return {};
    Stat stat{cursor[2], 0};
    cursor += 2;
    for (int field = 3; field < 22; ++field) {
        cursor = std::strchr(cursor, ' ');
        if (cursor == nullptr) return {};
        ++cursor;
    }
    stat.start_time = std::strtoull(cursor, nullptr, 10);
    return stat;
}

}  // namespace

std::uint64_t start_time_of(pid_t pid) noexcept { return read_stat(pid).start_time; }

std::string program_name() { return program_invocation_short_name; }

ProcessIdentity own_identity() noexcept { return {getpid(), start_time_of(getpid())}; }

bool is_alive(ProcessIdentity identity) noexcept {
    const Stat stat = read_stat(identity.pid);
    return stat.start_time == identity.start_time && stat.start_time != 0 && stat.state != 'Z' && stat.state != 'X';
}

bool is_stopped(pid_t pid) noexcept { return read_stat(pid).state == 'T'; }

bool is_traced(pid_t pid) noexcept {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/status", static_cast<int>(pid));
    const FileDescriptor file{open(path, O_RDONLY | O_CLOEXEC)};
    if (!file.valid()) return false;
    char text[4096];
    const ssize_t size = read(file.get(), text, sizeof text - 1);
    if (size <= 0) return false;
    text[size] = '\0';
    const char* line = std::strstr(text, "TracerPid:");
    return line != nullptr && std::strtol(line + std::strlen("TracerPid:"), nullptr, 10) != 0;
}

ProcessHandle::ProcessHandle(ProcessIdentity identity) noexcept : identity_(identity) {
    FileDescriptor pidfd{static_cast<int>(syscall(SYS_pidfd_open, identity.pid, 0))};
    if (pidfd.valid() && start_time_of(identity.pid) == identity.start_time) pidfd_ = std::move(pidfd);
}

bool ProcessHandle::dead() const noexcept {
    // Without a pidfd (out of descriptors) /proc has to do.
    if (!valid()) return !is_alive(identity_);
    pollfd entry{pidfd_.get(), POLLIN, 0};
    return poll(&entry, 1, 0) == 1;
}

bool ProcessHandle::signal(int number) const noexcept {
    return valid() && syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) == 0;
}

}  // namespace phoenix
