#pragma once
/// The agent's side of a job on one node: it owns the job's shared memory and hands the arena to members that come.

#include "control/fault_plan.hpp"
#include "memory/arena.hpp"
#include "memory/settings.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace phoenix {

struct AgentOptions {
    std::string job_id;  ///< Empty: one is drawn.
    Settings settings;
    std::vector<PlannedFault> faults;
    std::uint32_t expected_members{1};
    std::uint32_t node_id{0};
    std::uint32_t node_count{1};  ///< At most node_count_max.
    /// The same for all nodes of a job; nothing: one is drawn.
    std::optional<std::array<std::uint8_t, 32>> secret;
};

/// Serves a job from start() until its destruction, which removes what the job has in /dev/shm. Not movable: members'
/// requests refer to it. Threads: one of its own, which makes no calls but accept and send.
class Agent {
  public:
    /// Removes what dead jobs left, creates the job's shared memory and begins to serve it.
    /// @error refused    A living job has this id.
    /// @error no_memory  Says how much is needed and how to change it.
    [[nodiscard]] static tl::expected<std::unique_ptr<Agent>, Failure> start(const AgentOptions& options);

    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;
    ~Agent();

    [[nodiscard]] ControlSegment& segment() noexcept { return segment_; }
    [[nodiscard]] const Arena& arena() const noexcept { return arena_; }
    /// Where members fetch the arena from.
    [[nodiscard]] const std::string& socket_name() const noexcept { return socket_name_; }
    /// What members must find in their environment.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> environment() const;

  private:
    Agent() = default;
    void serve() const noexcept;

    ControlSegment segment_;
    Arena arena_;
    std::string socket_name_;
    FileDescriptor listener_;
    FileDescriptor stop_;  ///< eventfd that ends serve().
    std::thread server_;
};

/// An id that no other job on this machine has.
[[nodiscard]] std::string draw_job_id();

}  // namespace phoenix
