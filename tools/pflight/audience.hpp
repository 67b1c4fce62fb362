#pragma once
/// Who hears what a supervisor sees, and may give it orders: people at a terminal, or the launcher of a job of several
/// nodes.

#include "memory/event_ring.hpp"
#include "pflight/verdict.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace phoenix::pflight {

enum class ProcessPurpose : std::uint8_t { member, replacement, joiner, port };

/// The job is to be ended, for the reason given.
struct EndOrder {
    Outcome outcome{Outcome::failed};
    Errc code{Errc::internal};
    std::string sentence;
    bool hurry{false};  ///< Without politeness.
    friend bool operator==(const EndOrder&, const EndOrder&) = default;
};

struct Orders {
    std::optional<EndOrder> end;
    bool own_port{false};  ///< The port that was awaited will not come.
    bool finish{false};    ///< All nodes are done: nobody needs the port any more.
};

class Audience {
  public:
    Audience() = default;
    Audience(const Audience&) = delete;
    Audience& operator=(const Audience&) = delete;
    virtual ~Audience() = default;

    /// An event of the job's timeline.
    virtual void happened(const Event& event) = 0;
    virtual void process_started(pid_t pid, ProcessPurpose purpose) = 0;
    /// The process of member `slot` ended, and had not left in good order.
    virtual void process_ended(std::uint32_t slot, std::uint64_t time_ns, const std::string& how) = 0;
    /// Something that people must know.
    virtual void say(const std::string& sentence) = 0;
    /// Called several times a second.
    virtual void look(std::uint32_t living_members) = 0;
    /// All members of this node have ended. The sentence is empty if somebody else has said it.
    virtual void members_ended(const Verdict& verdict) = 0;
    [[nodiscard]] virtual std::optional<std::uint64_t> last_checkpoint() const = 0;

    /// For poll(): readable when there is something to look at, or an order to take.
    [[nodiscard]] virtual std::vector<int> descriptors() const { return {}; }
    [[nodiscard]] virtual Orders take_orders() { return {}; }
    /// Where the port of this node listens, and which slot it has.
    virtual void port_listens(std::uint32_t /*slot*/, std::uint64_t /*address*/) {}
};

}  // namespace phoenix::pflight
