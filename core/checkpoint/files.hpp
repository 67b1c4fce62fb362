#pragma once
/// File operations of checkpoints: each either succeeds or says in a sentence what the system refused.

#include "base/process.hpp"
#include "checkpoint/failure.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <sys/uio.h>
#include <vector>

namespace phoenix::checkpoint {

/// Called before every operation that changes the file system, so that tests can end the process at each of them.
using FileOperationHook = void (*)(const char* operation, const std::string& path);
extern FileOperationHook file_operation_hook;

/// [offset, offset + bytes) of a file.
struct ByteRange {
    std::uint64_t offset{};
    std::uint64_t bytes{};
    friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

/// The sentence for errno value `error`, with a remedy where there is one.
[[nodiscard]] tl::unexpected<Failure> refused(const char* doing, const std::string& path, int error);

[[nodiscard]] Result<FileDescriptor> open_to_read(const std::string& path);
[[nodiscard]] Result<FileDescriptor> open_to_write(const std::string& path);  ///< An existing file.
[[nodiscard]] Result<std::uint64_t> size_of(const FileDescriptor& file, const std::string& path);

/// Exactly the bytes asked for; torn if the file ends before.
[[nodiscard]] Result<void> read_at(const FileDescriptor& file, const std::string& path, std::uint64_t offset,
                                   std::span<std::byte> into);
/// The same into several pieces of memory, in order. `into` is used up.
[[nodiscard]] Result<void> read_at(const FileDescriptor& file, const std::string& path, std::uint64_t offset,
                                   std::vector<iovec>& into);
[[nodiscard]] Result<void> write_at(const FileDescriptor& file, const std::string& path, std::uint64_t offset,
                                    std::span<const std::byte> bytes);

/// Digest of a file without the `left_out` ranges, which must be sorted and apart; `bytes` is the file's size.
[[nodiscard]] Result<std::uint64_t> digest_without(const FileDescriptor& file, const std::string& path,
                                                   std::uint64_t bytes, std::span<const ByteRange> left_out);

[[nodiscard]] Result<void> create_directories(const std::string& path);
[[nodiscard]] Result<void> create_empty(const std::string& path);  ///< No error if it is there.
/// fsync of a file or a directory.
[[nodiscard]] Result<void> sync(const std::string& path);
[[nodiscard]] Result<void> rename(const std::string& from, const std::string& to);
/// Writes, syncs and renames, so that `path` is complete or not there.
[[nodiscard]] Result<void> write_whole(const std::string& path, const std::string& text);
[[nodiscard]] Result<std::string> read_whole(const std::string& path);
/// Names in a directory, sorted, without "." and "..".
[[nodiscard]] Result<std::vector<std::string>> list(const std::string& path);
void remove_file(const std::string& path) noexcept;
void remove_directory(const std::string& path) noexcept;  ///< Only if empty.
[[nodiscard]] bool exists(const std::string& path) noexcept;

/// `path` with a suffix no other process uses; such names end in ".tmp".
[[nodiscard]] std::string temporary_name(const std::string& path);

}  // namespace phoenix::checkpoint
