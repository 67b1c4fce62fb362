#pragma once
/// Creating, attaching and removing the named control segment of a job on this node.

#include "base/process.hpp"
#include "memory/layout.hpp"
#include "phoenix/error.hpp"

#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace phoenix {

/// A sentence and its code, for failures that are expected while running.
struct Failure {
    Errc code;
    std::string sentence;
};
[[nodiscard]] inline tl::unexpected<Failure> refusal(Errc code, std::string sentence) {
    return tl::unexpected(Failure{code, std::move(sentence)});
}

/// Mapping of a control segment. Move-only; unmaps at the end, never unlinks by itself.
class ControlSegment {
  public:
    ControlSegment() = default;
    ControlSegment(ControlSegment&& other) noexcept;
    ControlSegment& operator=(ControlSegment&& other) noexcept;
    ControlSegment(const ControlSegment&) = delete;
    ControlSegment& operator=(const ControlSegment&) = delete;
    ~ControlSegment();

    /// Makes the segment of job `job_id`, complete but for the settings; a stale one of the same name whose
    /// creator is dead and which nobody uses is replaced.
    /// @error refused    A living job has this id.
    /// @error no_memory  /dev/shm is too small: says how much is needed and how to change it.
    [[nodiscard]] static tl::expected<ControlSegment, Failure> create(std::string_view job_id);

    /// Maps the segment of a running job. Refuses another user's, another layout's and an incomplete one.
    [[nodiscard]] static tl::expected<ControlSegment, Failure> attach(std::string_view job_id);

    /// Removes the name; mappings stay. Idempotent.
    static void remove(std::string_view job_id) noexcept;

    /// True while the creator, the agent or a member of the job runs.
    [[nodiscard]] bool in_use() const noexcept;

    /// Stores the magic: others may attach from here on.
    void publish() noexcept;

    [[nodiscard]] bool valid() const noexcept { return base_ != nullptr; }
    [[nodiscard]] ControlHeader& header() const noexcept;
    [[nodiscard]] MemberRecord& member(std::uint32_t slot) const noexcept;
    [[nodiscard]] std::byte* view_buffer(std::uint32_t index) const noexcept;  ///< index < 2 * member_count_max
    /// First chunk of the log from `writer` to `reader`: arena offset, 0 if there is none yet.
    [[nodiscard]] std::atomic<std::uint64_t>& log_head(std::uint32_t reader, std::uint32_t writer) const noexcept;
    [[nodiscard]] std::span<OnceCell> once_cells() const noexcept;
    [[nodiscard]] std::span<FaultEntry> faults() const noexcept;
    [[nodiscard]] std::span<EventRecord> events() const noexcept;
    [[nodiscard]] std::string job_id() const;

    /// Records how the job ended; the first one to do so decides. Returns false if it was decided before.
    bool decide_outcome(Outcome outcome, Errc code, std::string_view sentence) noexcept;
    [[nodiscard]] Outcome outcome() const noexcept;
    [[nodiscard]] std::string outcome_text() const;

  private:
    explicit ControlSegment(std::byte* base) noexcept : base_(base) {}
    std::byte* base_{nullptr};
};

/// POSIX name of the control segment of `job_id`, with the uid of this process.
[[nodiscard]] std::string control_name(std::string_view job_id);
/// POSIX name of the named arena (jobs without an agent).
[[nodiscard]] std::string arena_name(std::string_view job_id);

/// A job segment found in /dev/shm.
struct FoundJob {
    std::string job_id;
    bool alive;  ///< Creator, agent or a member still runs.
};
/// Jobs of this user on this node, living and dead.
[[nodiscard]] std::vector<FoundJob> find_jobs();
/// Removes what dead jobs of this user left in /dev/shm; returns their ids.
std::vector<std::string> remove_dead_jobs();

}  // namespace phoenix
