#pragma once
/// The port of a node: the process that carries messages and states to other nodes. It is started before the members
/// and anew when it dies, a bounded number of times.

#include "control/agent.hpp"
#include "pflight/audience.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix::pflight {

inline constexpr std::uint32_t port_restart_count_max = 8;

/// Whether a port that ended is to be started anew. Pure.
/// @param needed  The job runs.
/// @param exited_in_order  It exited with status 0: it says that no node needs it.
enum class PortEnd : std::uint8_t { is_the_end, start_anew, too_often };
[[nodiscard]] PortEnd judge_port_end(bool needed, bool exited_in_order, std::uint32_t restarts) noexcept;

class PortKeeper {
  public:
    /// @param output  Descriptor for its stdout; -1: our own.
    /// @param listen  IPv4 address of this machine that it listens at.
    /// @param awaits  The first one is started by somebody else.
    PortKeeper(Agent& agent, Audience& audience, int output, std::string listen, bool awaits = false);

    [[nodiscard]] tl::expected<void, Failure> start();
    /// Nobody else starts one: look() will.
    void do_not_wait() noexcept { await_until_ns_ = std::min<std::uint64_t>(await_until_ns_, 1); }
    /// Notices its end, starts it anew while `needed`, says where it listens, kills it where that is planned. An order
    /// to end the node if it dies too often.
    [[nodiscard]] std::optional<EndOrder> look(bool needed);

    [[nodiscard]] bool living() const noexcept { return handle_.valid(); }
    /// For poll(): readable once it has died; -1: it does not live.
    [[nodiscard]] int descriptor() const noexcept { return handle_.valid() ? handle_.descriptor() : -1; }
    /// The audience knows the address of the one that lives.
    [[nodiscard]] bool listens() const noexcept { return told_address_ != 0; }
    void signal(int number) const noexcept;
    /// No heartbeat for longer than a member may go without, by the time between calls. For when no member is left who
    /// would notice.
    [[nodiscard]] bool hangs(const Settings& settings) noexcept;

  private:
    [[nodiscard]] tl::expected<void, Failure> start_own();
    [[nodiscard]] bool adopt();
    /// One has come, and died before it was adopted.
    [[nodiscard]] bool has_lost_one() const noexcept;
    void has_started(ProcessIdentity identity);
    [[nodiscard]] bool left_in_order() const noexcept;
    void tell_address();
    void kill_as_planned();
    [[nodiscard]] const MemberRecord* record() const noexcept;

    Agent& agent_;
    Audience& audience_;
    int output_;
    std::string listen_;
    ProcessIdentity identity_;
    ProcessHandle handle_;             ///< Of the one that lives.
    std::uint64_t await_until_ns_{0};  ///< For one that somebody else starts; 0: there will be none.
    std::uint32_t started_{0};
    std::uint64_t told_address_{0};
    std::vector<bool> killed_;  ///< By index of the fault.
    std::uint64_t heartbeat_{0};
    std::uint64_t heartbeat_seen_ns_{0};
};

}  // namespace phoenix::pflight
