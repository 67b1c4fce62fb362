#include "control/observation.hpp"

#include "control/arena_file.hpp"

#include <algorithm>
#include <cctype>
#include <dirent.h>
#include <fmt/format.h>
#include <optional>
#include <vector>

namespace phoenix {

namespace {

std::string living_ids(std::span<const FoundJob> jobs) {
    std::string text;
    for (const FoundJob& job : jobs)
        if (job.alive) text += fmt::format("{}{}", text.empty() ? "" : ", ", job.job_id);
    return text;
}

// True if somebody else has a job of this id; their segments are seen, but not opened.
bool belongs_to_another_user(std::string_view job_id) {
    constexpr std::string_view prefix = "phoenix.";
    DIR* directory = opendir("/dev/shm");
    if (directory == nullptr) return false;
    const std::string own = control_name(job_id).substr(1);
    bool found = false;
    while (const dirent* entry = readdir(directory)) {
        std::string_view file = entry->d_name;
        if (file == own || file.substr(0, prefix.size()) != prefix) continue;
        file.remove_prefix(prefix.size());
        std::size_t digits = 0;
        while (digits < file.size() && std::isdigit(static_cast<unsigned char>(file[digits])) != 0) ++digits;
        found = found || (digits > 0 && file.substr(digits) == fmt::format(".{}", job_id));
    }
    closedir(directory);
    return found;
}

Failure in_the_making(std::string_view job_id) {
    return {
        Errc::wrong_state,
        fmt::format("The job '{}' is just being made: try again in a moment; if that does not help, whoever made it "
                    "has died, and 'pflight clean' removes it.",
                    job_id)};
}

tl::expected<FileDescriptor, Failure> open_arena(const ControlSegment& segment) {
    const ControlHeader& header = segment.header();
    if (header.arena_is_named != 0) return Arena::open_named(segment);
    const auto agent = static_cast<pid_t>(header.agent_pid.load(std::memory_order_acquire));
    FileDescriptor found;
    if (agent != 0 && is_alive({agent, header.agent_start_time})) found = arena_of_process(agent);
    if (!found.valid()) found = arena_of_members(segment);
    if (found.valid()) return found;
    return refusal(Errc::refused,
                   fmt::format("The memory of job '{}' cannot be reached: none of its processes shows its open files "
                               "(/proc/PID/fd); run pflight as the same user and in the same container as the job.",
                               segment.job_id()));
}

tl::expected<ObservedJob, Failure> map_node(std::string_view segment_id, std::string_view job_id) {
    auto segment = ControlSegment::attach(segment_id);
    if (!segment)
        return tl::unexpected(segment.error().code == Errc::wrong_state ? in_the_making(job_id)
                                                                        : std::move(segment.error()));
    ObservedJob job;
    job.segment = std::make_unique<ControlSegment>(std::move(*segment));
    auto file = open_arena(*job.segment);
    if (!file) return tl::unexpected(std::move(file.error()));
    auto arena = Arena::map(*job.segment, std::move(*file));
    if (!arena) return tl::unexpected(std::move(arena.error()));
    job.arena = std::move(*arena);
    return job;
}

}  // namespace

std::string_view job_of_segment(std::string_view segment_id) noexcept {
    const std::size_t point = segment_id.rfind('.');
    if (point == std::string_view::npos || point == 0 || point + 1 == segment_id.size()) return segment_id;
    const std::string_view node = segment_id.substr(point + 1);
    const bool number = std::all_of(node.begin(), node.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    return number ? segment_id.substr(0, point) : segment_id;
}

tl::expected<std::string, Failure> meant_job(std::string_view wanted, std::span<const FoundJob> segments) {
    std::vector<FoundJob> jobs;
    for (const FoundJob& segment : segments) {
        const std::string_view id = job_of_segment(segment.job_id);
        const auto known =
            std::find_if(jobs.begin(), jobs.end(), [&](const FoundJob& job) { return job.job_id == id; });
        if (known == jobs.end())
            jobs.push_back({std::string{id}, segment.alive});
        else
            known->alive = known->alive || segment.alive;
    }
    const auto living = std::count_if(jobs.begin(), jobs.end(), [](const FoundJob& job) { return job.alive; });
    if (!wanted.empty()) {
        const auto found =
            std::find_if(jobs.begin(), jobs.end(), [&](const FoundJob& job) { return job.job_id == wanted; });
        if (found != jobs.end() && found->alive) return found->job_id;
        if (found != jobs.end())
            return refusal(Errc::wrong_state,
                           fmt::format("The job '{}' is dead: none of its processes runs any more; 'pflight clean' "
                                       "removes what it left.",
                                       wanted));
        return refusal(Errc::wrong_state,
                       fmt::format("There is no job '{}' of this user on this machine; {}.", wanted,
                                   living == 0 ? std::string{"none runs"} : "there runs: " + living_ids(jobs)));
    }
    if (living == 0)
        return refusal(Errc::wrong_state,
                       "No job of this user runs on this machine; start one with 'pflight run', for example: pflight "
                       "run -n 4 ./plate --steps 3000.");
    if (living > 1)
        return refusal(Errc::wrong_state, fmt::format("{} jobs run here ({}); say with --job ID which one is meant.",
                                                      living, living_ids(jobs)));
    return std::find_if(jobs.begin(), jobs.end(), [](const FoundJob& job) { return job.alive; })->job_id;
}

tl::expected<std::vector<ObservedJob>, Failure> observe_nodes(std::string_view wanted) {
    std::vector<FoundJob> segments = find_jobs();
    auto job_id = meant_job(wanted, segments);
    if (!job_id && !wanted.empty()) {
        // A maker that has not written yet who it is looks dead.
        for (const std::string& name : {std::string{wanted}, fmt::format("{}.0", wanted)})
            if (const auto made = ControlSegment::attach(name); !made && made.error().code == Errc::wrong_state)
                return tl::unexpected(in_the_making(wanted));
        if (belongs_to_another_user(wanted))
            return refusal(Errc::refused,
                           fmt::format("The job '{}' belongs to another user; only its owner may use it.", wanted));
    }
    if (!job_id) return tl::unexpected(std::move(job_id.error()));
    std::erase_if(segments,
                  [&](const FoundJob& found) { return !found.alive || job_of_segment(found.job_id) != *job_id; });
    std::vector<ObservedJob> nodes;
    std::optional<Failure> failure;
    for (const FoundJob& found : segments) {
        auto node = map_node(found.job_id, *job_id);
        if (node)
            nodes.push_back(std::move(*node));
        else
            failure = std::move(node.error());  // it may have ended meanwhile
    }
    if (nodes.empty() && failure) return tl::unexpected(std::move(*failure));
    if (nodes.empty()) return refusal(Errc::wrong_state, fmt::format("The job '{}' has ended meanwhile.", *job_id));
    std::sort(nodes.begin(), nodes.end(), [](const ObservedJob& a, const ObservedJob& b) {
        return a.segment->header().node_id < b.segment->header().node_id;
    });
    return nodes;
}

tl::expected<ObservedJob, Failure> observe_job(std::string_view wanted) {
    auto nodes = observe_nodes(wanted);
    if (!nodes) return tl::unexpected(std::move(nodes.error()));
    return std::move(nodes->front());
}

}  // namespace phoenix
