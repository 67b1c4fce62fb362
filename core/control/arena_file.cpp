#include "control/arena_file.hpp"

#include "memory/member_table.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <unistd.h>

namespace phoenix {

namespace {

constexpr std::string_view arena_link = "/memfd:phoenix-arena (deleted)";

}  // namespace

FileDescriptor arena_of_process(pid_t pid) {
    const std::string folder = fmt::format("/proc/{}/fd", pid);
    DIR* directory = opendir(folder.c_str());
    if (directory == nullptr) return {};
    FileDescriptor found;
    while (const dirent* entry = readdir(directory)) {
        const std::string path = fmt::format("{}/{}", folder, entry->d_name);
        char target[64];
        const ssize_t size = readlink(path.c_str(), target, sizeof target);
        if (size <= 0 || std::string_view{target, static_cast<std::size_t>(size)} != arena_link) continue;
        found = FileDescriptor{open(path.c_str(), O_RDWR | O_CLOEXEC)};
        break;
    }
    closedir(directory);
    return found;
}

FileDescriptor arena_of_members(const ControlSegment& segment) {
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberIdentity member = identity_of(segment.member(slot));
        if (member.presence != Presence::present || member.process.pid == getpid() || !member.alive()) continue;
        if (FileDescriptor found = arena_of_process(member.process.pid); found.valid()) return found;
    }
    return {};
}

}  // namespace phoenix
