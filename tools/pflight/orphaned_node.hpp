#pragma once
/// A node of this machine whose agent has died: its members finish the work by themselves, and the launcher, which
/// still has the node's segment mapped, sees how they end. What the agent would have done for them beyond that (joins,
/// replacements, a new port) is not done.

#include "pflight/audience.hpp"
#include "pflight/members.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace phoenix::pflight {

class OrphanedNode {
  public:
    /// @param members, ports  Processes that the agent has started, as far as it said so.
    OrphanedNode(ControlSegment segment, std::uint32_t node, const std::vector<ProcessIdentity>& members,
                 const std::vector<ProcessIdentity>& ports);

    /// Once they have ended: how. Told once.
    [[nodiscard]] std::optional<Verdict> look(const std::optional<LastCheckpoint>& checkpoint);
    void end(const EndOrder& order);
    /// All nodes are done.
    void finish() noexcept;
    /// True once nothing of the node is left; its name is removed by then.
    [[nodiscard]] bool gone();
    [[nodiscard]] std::uint32_t living() const noexcept { return static_cast<std::uint32_t>(processes_.living()); }

  private:
    [[nodiscard]] bool port_lives() const noexcept;
    void signal_ports(int number) const noexcept;

    ControlSegment segment_;
    std::uint32_t node_;
    MemberProcesses processes_;
    std::vector<ProcessHandle> ports_;
    bool ended_{false};
    std::uint64_t asked_ns_{0};         ///< When the members were told to end.
    std::uint64_t finish_asked_ns_{0};  ///< When the port was.
    bool hurry_{false};
};

}  // namespace phoenix::pflight
