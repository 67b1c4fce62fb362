#include "control/attachment.hpp"

#include "base/clock.hpp"
#include "control/agent.hpp"
#include "control/arena_file.hpp"
#include "control/descriptor_socket.hpp"
#include "memory/settings.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <fmt/format.h>
#include <functional>
#include <optional>

namespace phoenix {

namespace {

constexpr std::uint64_t founding_timeout_ns = 30'000'000'000ULL;
constexpr std::uint64_t inheriting_timeout_ns = 3'000'000'000ULL;

std::string_view variable(const char* name) noexcept {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string_view{} : std::string_view{value};
}

// The launcher is gone. Those whom it gave the arena may not have come so far that they can be found.
FileDescriptor inherit_arena(ControlSegment& segment) {
    const std::uint64_t deadline = boot_time_ns() + inheriting_timeout_ns;
    do {
        if (FileDescriptor found = arena_of_members(segment); found.valid()) return found;
        if (segment.header().arena_handed_out.load(std::memory_order_seq_cst) == 0) {
            auto founded = Arena::open_in_place_of_memfd(segment);
            return founded ? std::move(*founded) : FileDescriptor{};
        }
        const timespec pause{0, 5'000'000};
        nanosleep(&pause, nullptr);
    } while (boot_time_ns() < deadline);
    if (!segment.in_use()) ControlSegment::remove(segment.job_id());
    return {};
}

tl::expected<FileDescriptor, Failure> fetch_arena(ControlSegment& segment) {
    auto received = fetch_descriptor(variable(agent_variable));
    if (received) {
        const auto agent = static_cast<pid_t>(segment.header().agent_pid.load(std::memory_order_acquire));
        // Pids of another PID namespace name other processes here: deaths could not be seen.
        if (received->sender != agent)
            return refusal(
                Errc::refused,
                fmt::format("The launcher of job '{}' runs in another PID namespace than this process; start pflight "
                            "and its members in the same container.",
                            segment.job_id()));
        return std::move(received->descriptor);
    }
    if (received.error().code == Errc::system) {
        if (FileDescriptor found = inherit_arena(segment); found.valid()) return found;
    }
    return tl::unexpected(std::move(received.error()));
}

tl::expected<JobAccess, Failure> with_arena(
    ControlSegment segment, const std::function<tl::expected<FileDescriptor, Failure>(ControlSegment&)>& open_arena) {
    JobAccess access;
    access.segment = std::make_unique<ControlSegment>(std::move(segment));
    auto file = open_arena(*access.segment);
    if (!file) return tl::unexpected(std::move(file.error()));
    auto arena = Arena::map(*access.segment, std::move(*file));
    if (!arena) return tl::unexpected(std::move(arena.error()));
    access.arena = std::move(*arena);
    return access;
}

tl::expected<JobAccess, Failure> attach_to_launched(std::string_view job_id) {
    auto segment = ControlSegment::attach(job_id);
    if (!segment) {
        Failure failure = std::move(segment.error());
        if (failure.code == Errc::system)
            failure.sentence +=
                fmt::format(" Start the program with 'pflight run', or unset {} to run it alone.", job_variable);
        return tl::unexpected(std::move(failure));
    }
    if (!secret_matches(segment->header(), variable(secret_variable)))
        return refusal(Errc::refused,
                       fmt::format("{} does not hold the secret of job '{}'; start the program with 'pflight run'.",
                                   secret_variable, job_id));
    auto access = with_arena(std::move(*segment), fetch_arena);
    if (access) access->has_agent = true;
    return access;
}

struct FoundingOptions {
    std::string job_id;
    std::uint32_t expected_members{1};
    bool named_arena{false};
};

tl::expected<JobAccess, Failure> complete_founding(ControlSegment created, const FoundingOptions& options) {
    JobAccess access;
    access.segment = std::make_unique<ControlSegment>(std::move(created));
    access.founded = true;
    ControlSegment& segment = *access.segment;
    Settings settings;
    settings.started_by_mpirun = options.named_arena;
    segment.header().expected_members.store(options.expected_members,
                                            std::memory_order_relaxed);  // published by the magic
    segment.header().start_deadline_ns = boot_time_ns() + std::uint64_t{settings.start_timeout_ms} * 1'000'000;
    if (auto stored = store_settings(settings, segment); !stored) return tl::unexpected(std::move(stored.error()));
    auto file = Arena::create(segment, options.named_arena);
    if (!file) return tl::unexpected(std::move(file.error()));
    auto arena = Arena::map(segment, std::move(*file));
    if (!arena) return tl::unexpected(std::move(arena.error()));
    access.arena = std::move(*arena);
    segment.publish();
    return access;
}

tl::expected<JobAccess, Failure> found(const FoundingOptions& options) {
    remove_dead_jobs();
    auto created = ControlSegment::create(options.job_id);
    if (!created) return tl::unexpected(std::move(created.error()));
    auto access = complete_founding(std::move(*created), options);
    if (!access) ControlSegment::remove(options.job_id);
    return access;
}

// Any number of processes call this with the same id at once: create() lets one found the job, the others attach to it.
// A segment found under the name counts only while somebody of its job lives; a dead job's is replaced by create().
tl::expected<JobAccess, Failure> attach_or_found_shared(const FoundingOptions& options) {
    const std::uint64_t deadline = boot_time_ns() + founding_timeout_ns;
    for (;;) {
        auto attached = ControlSegment::attach(options.job_id);
        if (attached && attached->in_use()) return with_arena(std::move(*attached), Arena::open_named);
        if (!attached && attached.error().code != Errc::system && attached.error().code != Errc::wrong_state)
            return tl::unexpected(std::move(attached.error()));
        auto founded = found(options);
        if (founded || founded.error().code != Errc::refused) return founded;
        if (boot_time_ns() > deadline)
            return refusal(
                Errc::system,
                fmt::format("Another process has been founding the job '{}' for 30 s; end it and start again.",
                            options.job_id));
        const timespec pause{0, 2'000'000};
        nanosleep(&pause, nullptr);
    }
}

std::optional<std::uint32_t> number_in(const char* name) noexcept {
    const std::string_view text = variable(name);
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// Open MPI 5 has '@' and host names in its namespaces; the end is what differs between two jobs.
std::string job_id_of_namespace(std::string_view name) {
    constexpr std::size_t length_max = 36;
    std::string id{name.substr(name.size() > length_max ? name.size() - length_max : 0)};
    std::replace_if(
        id.begin(), id.end(), [](unsigned char c) { return std::isalnum(c) == 0 && c != '-' && c != '_'; }, '-');
    return "mpi-" + id;
}

}  // namespace

std::string secret_text(const std::array<std::uint8_t, 32>& secret) {
    std::string text;
    for (const std::uint8_t byte : secret) text += fmt::format("{:02x}", byte);
    return text;
}

bool secret_matches(const ControlHeader& header, std::string_view text) noexcept {
    constexpr std::string_view digits = "0123456789abcdef";
    if (text.size() != 2 * header.secret.size()) return false;
    unsigned difference = 0;
    for (std::size_t index = 0; index < header.secret.size(); ++index) {
        difference |= static_cast<unsigned>(text[2 * index] ^ digits[header.secret[index] >> 4]);
        difference |= static_cast<unsigned>(text[2 * index + 1] ^ digits[header.secret[index] & 15]);
    }
    return difference == 0;
}

tl::expected<JobAccess, Failure> attach_or_found() {
    if (const std::string_view job_id = variable(job_variable); !job_id.empty()) return attach_to_launched(job_id);
    const std::string_view name_space = variable("PMIX_NAMESPACE");
    const std::optional<std::uint32_t> local_size = number_in("OMPI_COMM_WORLD_LOCAL_SIZE");
    if (name_space.empty() || !local_size || *local_size <= 1) return found({draw_job_id(), 1, false});
    if (const auto size = number_in("OMPI_COMM_WORLD_SIZE"); size && *size > *local_size)
        return refusal(
            Errc::refused,
            fmt::format(
                "This mpirun has {} of its {} ranks on this node, and a job of PhoenixFlight lives on one node; "
                "start all ranks on one node.",
                *local_size, *size));
    if (*local_size > member_count_max)
        return refusal(Errc::refused,
                       fmt::format("This mpirun has {} ranks on this node and a job takes at most {}; start fewer.",
                                   *local_size, member_count_max));
    return attach_or_found_shared({job_id_of_namespace(name_space), *local_size, true});
}

}  // namespace phoenix
