#pragma once
/// What happens to the members of a job, told line by line, and how long each recovery took.

#include "control/fault_plan.hpp"
#include "memory/event_ring.hpp"
#include "pflight/verdict.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace phoenix::pflight {

/// A death and what followed; boot times, 0 if it did not come to that.
struct Recovery {
    std::uint32_t slot{0};
    std::uint64_t died_ns{0};     ///< The earliest notice of it.
    std::uint64_t failed_ns{0};   ///< View without the member.
    std::uint64_t adopted_ns{0};  ///< First adoption of its VNodes.
    std::uint64_t resumed_ns{0};  ///< First repeated step begins.
    std::uint64_t adopted_vnodes{0};
};

/// Turns events into lines. Pure but for the line given to `print`.
class Timeline {
  public:
    using Print = std::function<void(const std::string&)>;
    /// @param node  Of a job of several: its members are called NODE.SLOT then.
    Timeline(std::uint64_t start_ns, Print print, std::optional<std::uint32_t> node = std::nullopt)
        : start_ns_(start_ns), print_(std::move(print)), node_(node) {}

    void take(const Event& event, const ControlSegment& segment);
    /// @param fault  The planned one that has fired, if `event` says so.
    void take(const Event& event, const PlannedFault& fault);
    /// The process in `slot` is a port: what happens to it is no loss of a member.
    void know_port(std::uint32_t slot) { ports_.insert(slot); }
    [[nodiscard]] bool is_port(std::uint32_t slot) const { return ports_.count(slot) != 0; }
    /// The launcher saw the process of `slot` end.
    void process_ended(std::uint32_t slot, std::uint64_t time_ns, const std::string& how);
    void respawned(std::uint64_t time_ns, int pid);
    /// A member beyond those of the start was started.
    void grown(std::uint64_t time_ns, int pid);

    [[nodiscard]] const std::vector<Recovery>& recoveries() const noexcept { return recoveries_; }
    [[nodiscard]] std::optional<std::uint64_t> last_checkpoint() const noexcept { return last_checkpoint_; }
    /// "3 members lost, 48 VNodes recovered; from death to the first repeated step 1.9, 2.2, 1.7 ms"; empty if none
    /// died.
    [[nodiscard]] std::string summary() const;

  private:
    void say(std::uint64_t time_ns, const std::string& text) const;
    [[nodiscard]] std::string name_of(std::uint32_t slot) const;
    [[nodiscard]] std::string name_of_port() const;
    Recovery& open_recovery(std::uint32_t slot, std::uint64_t time_ns);
    /// The open recovery of `slot`; nullptr if its death was not told.
    [[nodiscard]] Recovery* known_recovery(std::uint32_t slot);
    void take_fault(const Event& event, const PlannedFault& fault);
    void take_port(const Event& event);
    void take_adoption(const Event& event);
    void take_resumption(const Event& event);
    void take_membership(const Event& event);

    std::uint64_t start_ns_;
    Print print_;
    std::optional<std::uint32_t> node_;
    std::set<std::uint32_t> ports_;  ///< Slots.
    std::vector<Recovery> recoveries_;
    std::map<std::uint32_t, std::size_t> open_;  ///< Slot -> its recovery, from its death until the slot is used again.
    std::optional<std::uint64_t> last_checkpoint_;
};

/// As Timeline::summary(), of recoveries on any nodes.
[[nodiscard]] std::string summary_of(const std::vector<Recovery>& recoveries);

}  // namespace phoenix::pflight
