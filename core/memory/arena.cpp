#include "memory/arena.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace phoenix {

namespace {

constexpr std::uint64_t mebibyte = 1ULL << 20;

std::uint64_t physical_memory() noexcept {
    return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t number_in_file(const char* path) noexcept {
    std::uint64_t value = ~std::uint64_t{0};
    if (std::FILE* file = std::fopen(path, "re")) {
        unsigned long long read = 0;
        if (std::fscanf(file, "%llu", &read) == 1) value = read;
        std::fclose(file);
    }
    return value;
}

// What the kernel says could be had without pushing anything out; the cgroup's limit counted in.
std::uint64_t available_memory() noexcept {
    std::uint64_t available = ~std::uint64_t{0};
    if (std::FILE* file = std::fopen("/proc/meminfo", "re")) {
        char line[128];
        while (std::fgets(line, sizeof line, file) != nullptr) {
            unsigned long long kibibytes = 0;
            if (std::sscanf(line, "MemAvailable: %llu kB", &kibibytes) == 1) available = kibibytes * 1024;
        }
        std::fclose(file);
    }
    const std::uint64_t limit = number_in_file("/sys/fs/cgroup/memory.max");
    const std::uint64_t used = number_in_file("/sys/fs/cgroup/memory.current");
    if (limit != ~std::uint64_t{0} && used != ~std::uint64_t{0})
        available = std::min(available, limit > used ? limit - used : 0);
    return available;
}

Failure exhausted(bool named, std::uint64_t bytes) {
    if (named) {
        struct statvfs info {};
        const std::uint64_t free_bytes =
            statvfs("/dev/shm", &info) == 0 ? static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize : 0;
        return {
            Errc::no_memory,
            fmt::format(
                "/dev/shm is too small: {} MiB more are needed and {} MiB are free; start with 'pflight run' (which "
                "does not use /dev/shm for this) or enlarge it with 'mount -o remount,size={}m /dev/shm'.",
                bytes / mebibyte + 1, free_bytes / mebibyte, (bytes + free_bytes) / mebibyte * 2 + 64)};
    }
    return {Errc::no_memory,
            fmt::format(
                "Shared memory is exhausted: {} MiB more are needed and {} MiB are available on this machine (or in "
                "its memory cgroup); use a smaller problem, or allow the job more memory.",
                bytes / mebibyte + 1, available_memory() / mebibyte)};
}

}  // namespace

std::uint64_t default_arena_size() noexcept {
    const std::uint64_t wanted = physical_memory() + extent_table_end + 1024 * mebibyte;
    return std::max<std::uint64_t>(8192 * mebibyte, (wanted + mebibyte - 1) / mebibyte * mebibyte);
}

Arena::Arena(Arena&& other) noexcept { *this = std::move(other); }

Arena& Arena::operator=(Arena&& other) noexcept {
    std::swap(segment_, other.segment_);
    std::swap(file_, other.file_);
    std::swap(base_, other.base_);
    std::swap(size_max_, other.size_max_);
    std::swap(populated_, other.populated_);
    return *this;
}

Arena::~Arena() {
    if (base_ != nullptr) munmap(base_, size_max_);
}

tl::expected<FileDescriptor, Failure> Arena::create(ControlSegment& segment, bool named) {
    ControlHeader& header = segment.header();
    header.arena_size_max = default_arena_size();
    header.arena_is_named = named ? 1 : 0;
    header.arena_end.store(extent_table_end, std::memory_order_relaxed);  // published with the segment's magic
    const std::string name = arena_name(segment.job_id());
    FileDescriptor file{named ? shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)
                              : memfd_create("phoenix-arena", MFD_CLOEXEC)};
    if (!file.valid())
        return tl::unexpected(
            Failure{Errc::system, fmt::format("Cannot create the job's shared memory: {}.", std::strerror(errno))});
    return file;
}

tl::expected<FileDescriptor, Failure> Arena::open_named(const ControlSegment& segment) {
    const std::string name = arena_name(segment.job_id());
    FileDescriptor file{shm_open(name.c_str(), O_RDWR | O_CLOEXEC, 0)};
    if (!file.valid())
        return tl::unexpected(Failure{
            Errc::system, fmt::format("Cannot open the job's shared memory {}: {}.", name, std::strerror(errno))});
    return file;
}

tl::expected<FileDescriptor, Failure> Arena::open_in_place_of_memfd(ControlSegment& segment) {
    const std::string name = arena_name(segment.job_id());
    FileDescriptor file{shm_open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    if (!file.valid())
        return tl::unexpected(
            Failure{Errc::system, fmt::format("Cannot create the job's shared memory: {}.", std::strerror(errno))});
    // The header says of an arena just what a fresh one is: nobody had the memfd.
    std::atomic_ref{segment.header().arena_is_named}.store(1, std::memory_order_release);
    return file;
}

tl::expected<Arena, Failure> Arena::map(const ControlSegment& segment, FileDescriptor file) {
    Arena arena;
    arena.segment_ = &segment;
    arena.size_max_ = segment.header().arena_size_max;
    void* base = mmap(nullptr, arena.size_max_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file.get(), 0);
    if (base == MAP_FAILED)
        return tl::unexpected(
            Failure{Errc::no_memory,
                    fmt::format("Cannot reserve {} MiB of address space for shared memory: {}; raise the limit of "
                                "virtual memory (ulimit -v).",
                                arena.size_max_ / mebibyte, std::strerror(errno))});
    arena.base_ = static_cast<std::byte*>(base);
    arena.file_ = std::move(file);
    // A core dump of mapped state would delay the notice of a death; a forked child must not keep the pages.
    madvise(base, arena.size_max_, MADV_DONTDUMP);
    madvise(base, arena.size_max_, MADV_DONTFORK);
    return arena;
}

tl::expected<void, Failure> Arena::allocate(std::uint64_t offset, std::uint64_t bytes) const {
    const bool named = segment_->header().arena_is_named != 0;
    // memfd has no size limit of its own: asking for more than there is would wake the out-of-memory killer.
    if (offset + bytes > size_max_ || (!named && bytes > available_memory()))
        return tl::unexpected(exhausted(named, bytes));
    int error = 0;
    do {
        error = fallocate(file_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(bytes)) == 0 ? 0 : errno;
    } while (error == EINTR);
    if (error == 0) return {};
    if (error == ENOSPC || error == ENOMEM || error == EFBIG) return tl::unexpected(exhausted(named, bytes));
    return tl::unexpected(
        Failure{Errc::system, fmt::format("Cannot allocate shared memory: {}.", std::strerror(error))});
}

tl::expected<std::uint64_t, Failure> Arena::reserve(std::uint64_t bytes) const {
    const std::uint64_t size = (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
    std::atomic<std::uint64_t>& end = segment_->header().arena_end;
    std::uint64_t offset = end.load(std::memory_order_acquire);
    for (;;) {
        // Allocating before the exchange: whoever dies in between has given nothing out.
        if (auto done = allocate(offset, size); !done) return tl::unexpected(std::move(done.error()));
        if (end.compare_exchange_weak(offset, offset + size, std::memory_order_acq_rel)) return offset;
    }
}

bool Arena::populate_some(std::uint64_t bytes_max) noexcept {
    const std::uint64_t end = segment_->header().arena_end.load(std::memory_order_acquire);
    if (populated_ >= end) return false;
    const std::uint64_t size = std::min(end - populated_, bytes_max / arena_alignment * arena_alignment);
#ifdef MADV_POPULATE_WRITE
    // Kernels before 5.14 refuse this; then pages are entered on first touch.
    if (madvise(base_ + populated_, size, MADV_POPULATE_WRITE) != 0 && errno == EINVAL) populated_ = end;
#endif
    populated_ += populated_ < end ? size : 0;
    return populated_ < end;
}

}  // namespace phoenix
