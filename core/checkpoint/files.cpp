#include "checkpoint/files.hpp"

#include "checkpoint/digest.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <memory>
#include <random>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace phoenix::checkpoint {

FileOperationHook file_operation_hook = nullptr;

namespace {

void about_to(const char* operation, const std::string& path) {
    if (file_operation_hook != nullptr) file_operation_hook(operation, path);
}

std::string words_of(int error) { return std::generic_category().message(error); }

}  // namespace

tl::unexpected<Failure> refused(const char* doing, const std::string& path, int error) {
    switch (error) {
        case ENOSPC:
        case EDQUOT:
            return fail(FailureKind::disk_full,
                        fmt::format("cannot {} '{}': {}; free some space, raise the quota or give another directory",
                                    doing, path, words_of(error)));
        case EFBIG:
            return fail(FailureKind::disk_full,
                        fmt::format("cannot {} '{}': {}; raise the limit (ulimit -f) or use another file system", doing,
                                    path, words_of(error)));
        case ENOENT: {
            const bool reading = std::string_view{doing}.starts_with("read") || std::string_view{doing} == "open";
            return fail(reading ? FailureKind::not_a_checkpoint : FailureKind::system,
                        fmt::format("cannot {} '{}': {}; check the path", doing, path, words_of(error)));
        }
        case EIO:
            return fail(FailureKind::corrupt,
                        fmt::format("cannot {} '{}': the disk reports an error; use another disk, "
                                    "and an earlier checkpoint if it is a file of one",
                                    doing, path));
        case ENOTDIR:
        case EEXIST:
            return fail(FailureKind::system, fmt::format("cannot {} '{}': a part of the path is a file and not a "
                                                         "directory; give a directory",
                                                         doing, path));
        case EACCES:
        case EPERM:
        case EROFS:
            return fail(FailureKind::system, fmt::format("cannot {} '{}': {}; give a directory this user may write to",
                                                         doing, path, words_of(error)));
        default:
            return fail(FailureKind::system, fmt::format("cannot {} '{}': {}; give a directory on another file system "
                                                         "if this stays so",
                                                         doing, path, words_of(error)));
    }
}

Result<FileDescriptor> open_to_read(const std::string& path) {
    FileDescriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!file.valid()) return refused("open", path, errno);
    return file;
}

Result<FileDescriptor> open_to_write(const std::string& path) {
    FileDescriptor file{open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!file.valid()) return refused("open", path, errno);
    return file;
}

Result<std::uint64_t> size_of(const FileDescriptor& file, const std::string& path) {
    struct stat status {};
    if (fstat(file.get(), &status) != 0) return refused("read", path, errno);
    return static_cast<std::uint64_t>(status.st_size);
}

Result<void> read_at(const FileDescriptor& file, const std::string& path, std::uint64_t offset,
                     std::span<std::byte> into) {
    while (!into.empty()) {
        const ssize_t got = pread(file.get(), into.data(), into.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return refused("read", path, errno);
        if (got == 0) {
            return fail(FailureKind::torn, fmt::format("'{}' ends {} bytes too early", path, into.size()));
        }
        into = into.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
    return {};
}

Result<void> read_at(const FileDescriptor& file, const std::string& path, std::uint64_t offset,
                     std::vector<iovec>& into) {
    std::size_t next = 0;
    while (next < into.size()) {
        const auto pieces = static_cast<int>(std::min<std::size_t>(into.size() - next, IOV_MAX));
        const ssize_t got = preadv(file.get(), into.data() + next, pieces, static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return refused("read", path, errno);
        if (got == 0) return fail(FailureKind::torn, fmt::format("'{}' ends too early", path));
        offset += static_cast<std::uint64_t>(got);
        auto left = static_cast<std::size_t>(got);
        while (next < into.size() && left >= into[next].iov_len) left -= into[next++].iov_len;
        if (left > 0) {
            into[next].iov_base = static_cast<std::byte*>(into[next].iov_base) + left;
            into[next].iov_len -= left;
        }
    }
    return {};
}

Result<void> write_at(const FileDescriptor& file, const std::string& path, std::uint64_t offset,
                      std::span<const std::byte> bytes) {
    about_to("write", path);
    while (!bytes.empty()) {
        const ssize_t put = pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return refused("write", path, errno);
        bytes = bytes.subspan(static_cast<std::size_t>(put));
        offset += static_cast<std::uint64_t>(put);
    }
    return {};
}

Result<std::uint64_t> digest_without(const FileDescriptor& file, const std::string& path, std::uint64_t bytes,
                                     std::span<const ByteRange> left_out) {
    Digest digest;
    std::vector<std::byte> buffer(std::size_t{1} << 18U);
    std::uint64_t position = 0;
    const auto up_to = [&](std::uint64_t end) -> Result<void> {
        while (position < end) {
            const std::span<std::byte> piece{buffer.data(), std::min<std::uint64_t>(buffer.size(), end - position)};
            if (auto read = read_at(file, path, position, piece); !read) return read;
            digest.update(piece.data(), piece.size());
            position += piece.size();
        }
        return {};
    };
    for (const ByteRange& range : left_out) {
        if (range.offset < position || range.bytes > bytes || range.offset > bytes - range.bytes) {
            return fail(FailureKind::corrupt, fmt::format("the manifest has wrong data ranges for '{}'", path));
        }
        if (auto done = up_to(range.offset); !done) return tl::unexpected(done.error());
        position = range.offset + range.bytes;
    }
    if (auto done = up_to(bytes); !done) return tl::unexpected(done.error());
    return digest.value();
}

Result<void> create_directories(const std::string& path) {
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        const std::string prefix = path.substr(0, end);
        about_to("mkdir", prefix);
        if (mkdir(prefix.c_str(), 0777) == 0) {
            // Its name has to survive a power loss as well. A parent that cannot be opened is no reason to give up.
            const std::size_t slash = prefix.rfind('/');
            static_cast<void>(sync(slash == std::string::npos ? "." : slash == 0 ? "/" : prefix.substr(0, slash)));
        } else if (errno != EEXIST) {
            const int error = errno;
            // A read-only ancestor that exists is no obstacle.
            if (!exists(prefix)) return refused("create directory", prefix, error);
        }
        if (end == std::string::npos) break;
    }
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return refused("create directory", path, errno);
    if (!S_ISDIR(status.st_mode)) return refused("create directory", path, ENOTDIR);
    return {};
}

Result<void> create_empty(const std::string& path) {
    about_to("create", path);
    const FileDescriptor file{open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666)};
    if (!file.valid()) return refused("create", path, errno);
    return {};
}

Result<void> sync(const std::string& path) {
    about_to("sync", path);
    const FileDescriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!file.valid()) return refused("open", path, errno);
    // Some file systems have no fsync for directories and say EINVAL: they order renames themselves.
    if (fsync(file.get()) != 0 && errno != EINVAL) return refused("sync", path, errno);
    return {};
}

Result<void> rename(const std::string& from, const std::string& to) {
    about_to("rename", to);
    if (std::rename(from.c_str(), to.c_str()) != 0) return refused("rename a file to", to, errno);
    return {};
}

Result<void> write_whole(const std::string& path, const std::string& text) {
    const std::string temporary = temporary_name(path);
    const auto written = [&]() -> Result<void> {
        about_to("create", temporary);
        const FileDescriptor file{open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
        if (!file.valid()) return refused("create", temporary, errno);
        return write_at(file, temporary, 0, std::as_bytes(std::span{text}));
    }();
    auto done = written.and_then([&] { return sync(temporary); }).and_then([&] { return rename(temporary, path); });
    if (!done) remove_file(temporary);
    return done;
}

Result<std::string> read_whole(const std::string& path) {
    auto file = open_to_read(path);
    if (!file) return tl::unexpected(file.error());
    const auto bytes = size_of(*file, path);
    if (!bytes) return tl::unexpected(bytes.error());
    std::string text(*bytes, '\0');
    auto read = read_at(*file, path, 0, std::as_writable_bytes(std::span{text}));
    if (!read) return tl::unexpected(read.error());
    return text;
}

Result<std::vector<std::string>> list(const std::string& path) {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory{opendir(path.c_str()), closedir};
    if (!directory) return refused("read directory", path, errno);
    std::vector<std::string> names;
    while (const dirent* entry = readdir(directory.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

void remove_file(const std::string& path) noexcept {
    about_to("unlink", path);
    unlink(path.c_str());
}

void remove_directory(const std::string& path) noexcept {
    about_to("rmdir", path);
    rmdir(path.c_str());
}

bool exists(const std::string& path) noexcept {
    struct stat status {};
    return stat(path.c_str(), &status) == 0;
}

std::string temporary_name(const std::string& path) {
    // Processes of several nodes may write here, and pids are of a node only.
    return fmt::format("{}.{}-{:08x}.tmp", path, getpid(), std::random_device{}());
}

}  // namespace phoenix::checkpoint
