#include "memory/control_segment.hpp"

#include "base/clock.hpp"
#include "memory/member_table.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace phoenix {

namespace {

constexpr std::string_view name_prefix = "phoenix.";
constexpr std::string_view arena_suffix = ".arena";

std::string own_prefix() { return fmt::format("{}{}.", name_prefix, getuid()); }

Failure system_failure(std::string_view what, int error) {
    return {Errc::system, fmt::format("{}: {}.", what, std::strerror(error))};
}

Failure memory_failure(std::string_view name, std::size_t needed) {
    struct statvfs info {};
    const std::size_t free_bytes =
        statvfs("/dev/shm", &info) == 0 ? static_cast<std::size_t>(info.f_bavail) * info.f_frsize : 0;
    return {
        Errc::no_memory,
        fmt::format("/dev/shm is too small for the control segment {}: {} KiB are needed and {} KiB are free; enlarge "
                    "it with 'mount -o remount,size=64m /dev/shm' (containers: --shm-size=64m).",
                    name, needed / 1024, free_bytes / 1024)};
}

// Held while a name is made, replaced or removed as dead: without it somebody who looks for dead jobs removes a segment
// whose maker has not written its identity yet, and two that replace a stale segment remove each other's new one.
// The kernel drops the lock when its holder dies.
class NameLock {
  public:
    NameLock() noexcept : directory_(open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
        const std::uint64_t deadline = boot_time_ns() + 10'000'000'000ULL;
        while (directory_.valid() && !held_) {
            held_ = flock(directory_.get(), LOCK_EX | LOCK_NB) == 0;
            if (held_ || (errno != EWOULDBLOCK && errno != EINTR) || boot_time_ns() > deadline) break;
            const timespec pause{0, 1'000'000};
            nanosleep(&pause, nullptr);
        }
    }
    [[nodiscard]] bool held() const noexcept { return held_; }

  private:
    FileDescriptor directory_;
    bool held_{false};
};

bool any_user_alive(const std::byte* base) {
    const auto& header = *reinterpret_cast<const ControlHeader*>(base);
    if (is_alive({header.creator_pid, header.creator_start_time})) return true;
    const auto agent = static_cast<pid_t>(header.agent_pid.load(std::memory_order_acquire));
    if (agent != 0 && is_alive({agent, header.agent_start_time})) return true;
    const auto* members = reinterpret_cast<const MemberRecord*>(base + control_members_offset);
    return std::any_of(members, members + member_count_max,
                       [](const MemberRecord& member) { return identity_of(member).alive(); });
}

// Maps what is there under `name`; nullptr with errno set if that is not a segment of our size and owner.
std::byte* map_existing(const std::string& name) {
    const FileDescriptor file{shm_open(name.c_str(), O_RDWR | O_CLOEXEC, 0)};
    if (!file.valid()) return nullptr;
    struct stat info {};
    if (fstat(file.get(), &info) != 0) return nullptr;
    if (info.st_uid != getuid()) return errno = EACCES, nullptr;
    if (info.st_size == 0) return errno = EAGAIN, nullptr;  // its maker is at work
    if (static_cast<std::size_t>(info.st_size) != control_size_bytes) return errno = EPROTO, nullptr;
    void* base = mmap(nullptr, control_size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    return base == MAP_FAILED ? nullptr : static_cast<std::byte*>(base);
}

// For segments of another size: where the creator stands in the header is the same in all versions, where the members
// stand is not.
bool creator_alive(const std::string& name) {
    constexpr std::size_t pid_at = offsetof(ControlHeader, creator_pid);
    constexpr std::size_t start_at = offsetof(ControlHeader, creator_start_time);
    std::array<char, start_at + sizeof(std::uint64_t)> head{};
    const FileDescriptor file{shm_open(name.c_str(), O_RDONLY | O_CLOEXEC, 0)};
    if (pread(file.get(), head.data(), head.size(), 0) != static_cast<ssize_t>(head.size())) return false;
    std::int32_t pid = 0;
    std::uint64_t start_time = 0;
    std::memcpy(&pid, head.data() + pid_at, sizeof pid);
    std::memcpy(&start_time, head.data() + start_at, sizeof start_time);
    return is_alive({pid, start_time});
}

bool job_alive(const std::string& name) {
    std::byte* base = map_existing(name);
    if (base == nullptr) return errno == EPROTO && creator_alive(name);
    const bool alive = any_user_alive(base);
    munmap(base, control_size_bytes);
    return alive;
}

}  // namespace

std::string control_name(std::string_view job_id) { return fmt::format("/{}{}", own_prefix(), job_id); }
std::string arena_name(std::string_view job_id) { return fmt::format("/{}{}{}", own_prefix(), job_id, arena_suffix); }

ControlSegment::ControlSegment(ControlSegment&& other) noexcept : base_(std::exchange(other.base_, nullptr)) {}

ControlSegment& ControlSegment::operator=(ControlSegment&& other) noexcept {
    std::swap(base_, other.base_);
    return *this;
}

ControlSegment::~ControlSegment() {
    if (base_ != nullptr) munmap(base_, control_size_bytes);
}

tl::expected<ControlSegment, Failure> ControlSegment::create(std::string_view job_id) {
    const std::string name = control_name(job_id);
    if (job_id.empty() || job_id.size() > 40 || job_id.find('/') != std::string_view::npos)
        return tl::unexpected(Failure{Errc::invalid_argument,
                                      fmt::format("The job id '{}' must have 1 to 40 characters and no '/'.", job_id)});
    const NameLock lock;
    if (!lock.held())
        return tl::unexpected(system_failure("Cannot lock /dev/shm (a process holds it for 10 s)", errno));
    FileDescriptor file{shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (!file.valid() && errno == EEXIST) {
        if (job_alive(name))
            return tl::unexpected(Failure{
                Errc::refused, fmt::format("A job with the id '{}' is running already; choose another id.", job_id)});
        remove(job_id);
        file = FileDescriptor{shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    }
    if (!file.valid()) return tl::unexpected(system_failure(fmt::format("Cannot create the segment {}", name), errno));
    // Every page is allocated now: a full /dev/shm is an error here and not a SIGBUS later.
    if (const int error = posix_fallocate(file.get(), 0, static_cast<off_t>(control_size_bytes)); error != 0) {
        Failure failure = error == ENOSPC ? memory_failure(name, control_size_bytes)
                                          : system_failure(fmt::format("Cannot allocate the segment {}", name), error);
        shm_unlink(name.c_str());
        return tl::unexpected(std::move(failure));
    }
    void* base = mmap(nullptr, control_size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (base == MAP_FAILED) {
        const int error = errno;
        shm_unlink(name.c_str());
        return tl::unexpected(system_failure(fmt::format("Cannot map the segment {}", name), error));
    }
    madvise(base, control_size_bytes, MADV_DONTDUMP);
    ControlSegment segment{static_cast<std::byte*>(base)};
    ControlHeader& header = segment.header();
    const ProcessIdentity self = own_identity();
    header.creator_pid = self.pid;
    header.creator_start_time = self.start_time;
    header.version = layout_version;
    header.size_bytes = control_size_bytes;
    header.node_count = 1;
    std::memcpy(header.job_id.data(), job_id.data(), job_id.size());
    if (getrandom(header.secret.data(), header.secret.size(), 0) != static_cast<ssize_t>(header.secret.size()))
        return tl::unexpected(system_failure("Cannot draw a job secret", errno));
    return segment;
}

tl::expected<ControlSegment, Failure> ControlSegment::attach(std::string_view job_id) {
    const std::string name = control_name(job_id);
    std::byte* base = map_existing(name);
    if (base == nullptr) {
        if (errno == EAGAIN)
            return tl::unexpected(
                Failure{Errc::wrong_state, fmt::format("The job '{}' is not ready to be attached to.", job_id)});
        if (errno == EACCES)
            return tl::unexpected(
                Failure{Errc::refused,
                        fmt::format("The job '{}' belongs to another user; only its owner may attach.", job_id)});
        if (errno == EPROTO)
            return tl::unexpected(Failure{
                Errc::mismatch,
                fmt::format("The segment {} was made by another version of PhoenixFlight; use the same one everywhere.",
                            name)});
        return tl::unexpected(
            system_failure(fmt::format("There is no job '{}' on this node ({})", job_id, name), errno));
    }
    ControlSegment segment{base};
    // Pairs with the release store in publish().
    if (segment.header().magic.load(std::memory_order_acquire) != control_magic)
        return tl::unexpected(
            Failure{Errc::wrong_state, fmt::format("The job '{}' is not ready to be attached to.", job_id)});
    if (segment.header().version != layout_version)
        return tl::unexpected(
            Failure{Errc::mismatch,
                    fmt::format("The job '{}' runs layout version {}, this program has {}; use the same version of "
                                "PhoenixFlight for pflight and the application.",
                                job_id, segment.header().version, layout_version)});
    madvise(base, control_size_bytes, MADV_DONTDUMP);
    return segment;
}

void ControlSegment::remove(std::string_view job_id) noexcept {
    shm_unlink(arena_name(job_id).c_str());
    shm_unlink(control_name(job_id).c_str());
}

bool ControlSegment::in_use() const noexcept { return any_user_alive(base_); }

void ControlSegment::publish() noexcept { header().magic.store(control_magic, std::memory_order_release); }

ControlHeader& ControlSegment::header() const noexcept { return *reinterpret_cast<ControlHeader*>(base_); }

MemberRecord& ControlSegment::member(std::uint32_t slot) const noexcept {
    return reinterpret_cast<MemberRecord*>(base_ + control_members_offset)[slot];
}

std::byte* ControlSegment::view_buffer(std::uint32_t index) const noexcept {
    return base_ + control_views_offset + index * view_buffer_size;
}

std::atomic<std::uint64_t>& ControlSegment::log_head(std::uint32_t reader, std::uint32_t writer) const noexcept {
    return reinterpret_cast<std::atomic<std::uint64_t>*>(base_ +
                                                         control_logs_offset)[reader * member_count_max + writer];
}

std::span<OnceCell> ControlSegment::once_cells() const noexcept {
    return {reinterpret_cast<OnceCell*>(base_ + control_once_offset), once_cell_count};
}

std::span<FaultEntry> ControlSegment::faults() const noexcept {
    return {reinterpret_cast<FaultEntry*>(base_ + control_faults_offset), fault_count_max};
}

std::span<EventRecord> ControlSegment::events() const noexcept {
    return {reinterpret_cast<EventRecord*>(base_ + control_events_offset), event_count};
}

std::string ControlSegment::job_id() const { return header().job_id.data(); }

bool ControlSegment::decide_outcome(Outcome outcome, Errc code, std::string_view sentence) noexcept {
    ControlHeader& head = header();
    auto expected = static_cast<std::uint32_t>(Outcome::running);
    if (!head.outcome.compare_exchange_strong(expected, static_cast<std::uint32_t>(Outcome::deciding))) return false;
    const std::size_t size = std::min(sentence.size(), head.outcome_text.size() - 1);
    std::memcpy(head.outcome_text.data(), sentence.data(), size);
    head.outcome_text[size] = '\0';
    head.outcome_code = static_cast<std::int32_t>(code);
    // Pairs with the acquire load in outcome(): whoever sees the outcome sees its text.
    head.outcome.store(static_cast<std::uint32_t>(outcome), std::memory_order_release);
    return true;
}

Outcome ControlSegment::outcome() const noexcept {
    return static_cast<Outcome>(header().outcome.load(std::memory_order_acquire));
}

std::string ControlSegment::outcome_text() const {
    return outcome() >= Outcome::completed ? std::string{header().outcome_text.data()} : std::string{};
}

std::vector<FoundJob> find_jobs() {
    std::vector<FoundJob> jobs;
    const std::string prefix = own_prefix();
    DIR* directory = opendir("/dev/shm");
    if (directory == nullptr) return jobs;
    while (const dirent* entry = readdir(directory)) {
        const std::string_view file = entry->d_name;
        if (file.substr(0, prefix.size()) != prefix) continue;
        if (file.size() > arena_suffix.size() && file.substr(file.size() - arena_suffix.size()) == arena_suffix)
            continue;
        const std::string job_id{file.substr(prefix.size())};
        jobs.push_back({job_id, job_alive(control_name(job_id))});
    }
    closedir(directory);
    return jobs;
}

std::vector<std::string> remove_dead_jobs() {
    std::vector<std::string> removed;
    const NameLock lock;
    if (!lock.held()) return removed;
    for (const FoundJob& job : find_jobs()) {
        if (job.alive) continue;
        ControlSegment::remove(job.job_id);
        removed.push_back(job.job_id);
    }
    return removed;
}

}  // namespace phoenix
