#pragma once
/// The arena: all shared memory of a job on a node but the control segment. One sparse memory object that every member
/// maps once, at full reserved size; places in it are offsets. It grows by fallocate, so that a lack of memory is an
/// error when asking and never a SIGBUS later. With an agent it is a memfd, so that nothing can be left behind.
///
/// Fixed map: [0, 64 KiB) unused (offset 0 means none); [64 KiB, extent_table_end) the extent table, see
/// extent_pool.hpp; then what reserve() gave out.

#include "base/process.hpp"
#include "memory/control_segment.hpp"

#include <cstddef>
#include <cstdint>

namespace phoenix {

inline constexpr std::uint64_t arena_alignment = 4096;
inline constexpr std::uint32_t extent_count_max = 1U << 26;
inline constexpr std::uint64_t extent_table_offset = 65536;
inline constexpr std::uint64_t extent_table_end = extent_table_offset + std::uint64_t{extent_count_max} * 24;

/// Reserved size that suits this machine: what its memory could ever hold, at least 8 GiB.
[[nodiscard]] std::uint64_t default_arena_size() noexcept;

/// Mapping of the arena. Move-only. Threads: all functions may be called by any thread.
class Arena {
  public:
    Arena() = default;
    Arena(Arena&& other) noexcept;
    Arena& operator=(Arena&& other) noexcept;
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    ~Arena();

    /// Makes the memory object of a job: a memfd, or (named) a POSIX object beside the control segment. Fills in the
    /// header's arena fields.
    [[nodiscard]] static tl::expected<FileDescriptor, Failure> create(ControlSegment& segment, bool named);
    /// Opens the named arena of a job without an agent.
    [[nodiscard]] static tl::expected<FileDescriptor, Failure> open_named(const ControlSegment& segment);
    /// The arena of a job whose agent died before it gave the memfd to anybody: a named one in its place. Everybody who
    /// calls this gets the same one.
    [[nodiscard]] static tl::expected<FileDescriptor, Failure> open_in_place_of_memfd(ControlSegment& segment);
    /// Maps it. `segment` must outlive the arena.
    [[nodiscard]] static tl::expected<Arena, Failure> map(const ControlSegment& segment, FileDescriptor file);

    [[nodiscard]] std::byte* at(std::uint64_t offset) const noexcept { return base_ + offset; }
    template <typename T>
    [[nodiscard]] T& object(std::uint64_t offset) const noexcept {
        return *reinterpret_cast<T*>(base_ + offset);
    }
    [[nodiscard]] std::uint64_t offset_of(const void* place) const noexcept {
        return static_cast<std::uint64_t>(static_cast<const std::byte*>(place) - base_);
    }
    [[nodiscard]] std::uint64_t size_max() const noexcept { return size_max_; }
    [[nodiscard]] int descriptor() const noexcept { return file_.get(); }

    /// Gives out `bytes` (rounded up to a page), zeroed and allocated, for the life of the job.
    /// @error no_memory  Says how much is needed, what is there and how to change it.
    [[nodiscard]] tl::expected<std::uint64_t, Failure> reserve(std::uint64_t bytes) const;

    /// Allocates the pages of [offset, offset + bytes) in the object without giving them out (extent table).
    [[nodiscard]] tl::expected<void, Failure> allocate(std::uint64_t offset, std::uint64_t bytes) const;

    /// Enters pages given out since the last call into this process's page table, at most `bytes_max` of them, so that
    /// taking over a VNode costs no page faults. Returns false when there is nothing left to do.
    bool populate_some(std::uint64_t bytes_max) noexcept;

  private:
    const ControlSegment* segment_{nullptr};
    FileDescriptor file_;
    std::byte* base_{nullptr};
    std::uint64_t size_max_{0};
    std::uint64_t populated_{extent_table_end};
};

}  // namespace phoenix
