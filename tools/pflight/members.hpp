#pragma once
/// The processes of a job as the launcher sees them: who came, who attached, who ended and how.

#include "base/process.hpp"
#include "memory/control_segment.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace phoenix::pflight {

/// One process that is, was, or was to be a member.
struct MemberProcess {
    ProcessIdentity identity;
    ProcessHandle handle;
    bool is_child{false};  ///< Ours: its exit status is known once it ended. Else a rank of mpirun.
    bool grown{false};     ///< Started beyond the members of the start: nobody waits for it.
    // Known once it attached:
    std::optional<std::uint32_t> slot;
    std::uint32_t incarnation{0};
    // Known once it ended:
    bool ended{false};
    std::uint64_t ended_ns{0};       ///< Boot time at which that was noticed.
    std::optional<int> wait_status;  ///< As of waitpid(); children only.
    bool left_in_order{false};       ///< Its record says leaving.
    bool drained{false};             ///< It left before the end of the program, as asked.
    std::uint32_t exit_state{0};     ///< MemberRecord::exit_state.
    std::uint32_t fault_signal{0};   ///< MemberRecord::fault_signal.

    [[nodiscard]] bool attached() const noexcept { return slot.has_value(); }
    /// Status with which the process exited by itself; nothing if it was killed or that is not known.
    [[nodiscard]] std::optional<int> exit_status() const noexcept;
    /// Signal that ended it; nothing if it exited. A death without witness or last words counts as SIGKILL.
    [[nodiscard]] std::optional<int> ending_signal() const noexcept;
};

/// All processes of the job; of those that joined it and left again as asked only the last ones.
class MemberProcesses {
  public:
    explicit MemberProcesses(const ControlSegment& segment) noexcept : segment_(&segment) {}

    /// Takes in a process of which nothing but the pid is known.
    void add(pid_t pid, bool is_child, bool grown = false);
    /// Reads the member records: finds out who attached, and takes in members that were not known. Ports are none.
    void look();
    /// Marks those that ended since the last call, oldest news first, and reaps children. Returns their indices.
    std::vector<std::size_t> collect_ended();

    [[nodiscard]] const std::vector<MemberProcess>& all() const noexcept { return processes_; }
    [[nodiscard]] std::size_t living() const noexcept;
    /// Sends `number` to all that have not ended.
    void signal_all(int number) const noexcept;

  private:
    void add(ProcessIdentity identity, bool is_child, bool grown);
    void read_last_words(MemberProcess& process) const noexcept;

    const ControlSegment* segment_;
    std::vector<MemberProcess> processes_;
};

/// Children of process `parent` by /proc.
[[nodiscard]] std::vector<pid_t> children_of(pid_t parent);

/// State letter of /proc/PID/stat, 'X' if there is no such process.
[[nodiscard]] char process_state(pid_t pid) noexcept;

}  // namespace phoenix::pflight
