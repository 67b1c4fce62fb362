#pragma once
/// The launcher of a job of several nodes as the audience of a node's agent: reports go out, orders come in. If the
/// launcher dies the node goes on alone, and what goes wrong is said on stderr.

#include "control/agent.hpp"
#include "pflight/audience.hpp"
#include "pflight/line_channel.hpp"
#include "pflight/node_protocol.hpp"
#include "pflight/output_relay.hpp"

#include <optional>
#include <set>
#include <vector>

namespace phoenix::pflight {

class LauncherLink : public Audience {
  public:
    /// @param channel  On which the start order has come.
    /// @param relay  What members print, if it is to be reported; else nullptr.
    /// @param listen  Address for the node's port.
    LauncherLink(LineChannel& channel, const StartOrder& order, Agent& agent, const std::string& listen,
                 const OutputRelay* relay);

    void happened(const Event& event) override;
    void process_started(pid_t pid, ProcessPurpose purpose) override;
    void process_ended(std::uint32_t slot, std::uint64_t time_ns, const std::string& how) override;
    void say(const std::string& sentence) override;
    void look(std::uint32_t living_members) override;
    void members_ended(const Verdict& verdict) override;
    [[nodiscard]] std::optional<std::uint64_t> last_checkpoint() const override { return last_checkpoint_; }
    [[nodiscard]] std::vector<int> descriptors() const override;
    [[nodiscard]] Orders take_orders() override;
    void port_listens(std::uint32_t slot, std::uint64_t address) override;
    /// Everything is over here: says what is known of the others.
    void conclude();

  private:
    void report(const Report& report);
    [[nodiscard]] bool backlogged() const noexcept;
    void pass_output_on();
    void tell_of_port(std::uint32_t slot);
    void store(const AddressesOrder& addresses);

    LineChannel& channel_;
    Agent& agent_;
    const OutputRelay* relay_;
    std::uint32_t node_;
    std::uint64_t stall_ns_;
    std::uint64_t last_progress_ns_{0};
    std::set<std::uint32_t> ports_;  ///< Slots that the launcher knows to be ports.
    std::optional<std::uint64_t> last_checkpoint_;
};

}  // namespace phoenix::pflight
