#include "support/output_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <phoenix/error.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace support {

namespace {

// Always the same name: a member that repeats the work of a dead one replaces what that one left.
std::string partial_name(const std::string& path) { return path + ".partial"; }

[[noreturn]] void refuse(const std::string& path, const char* reason) {
    throw phoenix::Error{phoenix::Errc::invalid_argument,
                         fmt::format("cannot write '{}': {}; choose another place", path, reason)};
}

}  // namespace

void require_writable(const std::string& path) {
    struct stat status {};
    if (stat(path.c_str(), &status) == 0) {
        if (S_ISDIR(status.st_mode)) refuse(path, "it is a directory");
        // It is replaced by a rename: a device would be gone for everybody.
        if (!S_ISREG(status.st_mode)) refuse(path, "it is no regular file");
        if (access(path.c_str(), W_OK) != 0) refuse(path, std::strerror(errno));
    }
    const std::string trial = partial_name(path);
    const int file = open(trial.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) refuse(path, std::strerror(errno));
    close(file);
    unlink(trial.c_str());
}

void write_whole(const std::string& path, const std::function<void(const std::string&)>& write) {
    const std::string partial = partial_name(path);
    try {
        write(partial);
    } catch (...) {
        unlink(partial.c_str());
        throw;
    }
    if (std::rename(partial.c_str(), path.c_str()) != 0) {
        const int reason = errno;
        unlink(partial.c_str());
        throw phoenix::Error{phoenix::Errc::system,
                             fmt::format("cannot rename '{}' to '{}': {}", partial, path, std::strerror(reason))};
    }
}

}  // namespace support
