#pragma once
/// What launcher and agents say to each other over the agents' stdin and stdout: one JSON object a line, nothing else,
/// so that it goes through ssh as well. Formatting and parsing; pure. What comes in is checked here and trusted beyond.
///
///   launcher -> agent   start (first, once), addresses, own_port, end, finish
///   agent -> launcher   started, process, port, event, died, progress, say, output, ended, over

#include "control/fault_plan.hpp"
#include "memory/event_ring.hpp"
#include "memory/settings.hpp"
#include "pflight/audience.hpp"
#include "pflight/progress.hpp"
#include "pflight/verdict.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <variant>
#include <vector>

namespace phoenix::pflight {

inline constexpr std::uint32_t node_protocol_version = 3;

/// All that an agent must know.
struct StartOrder {
    std::string job_id;  ///< Of the whole job; the node's is `<job>.<node>`.
    std::uint32_t node{0};
    std::uint32_t nodes{1};
    std::array<std::uint8_t, 32> secret{};
    std::uint32_t members{1};
    std::string program;
    std::vector<std::string> arguments;
    std::string directory;  ///< In which the program runs.
    Settings settings;
    std::vector<PlannedFault> faults;
    bool respawn{false};
    int output{2};            ///< Descriptor of the agent that is the members' stdout; unless `relay`.
    bool relay{false};        ///< What members print is reported: there is another machine between.
    std::string listen;       ///< Address, or network of the address, of the node's port.
    bool awaits_port{false};  ///< It is started by somebody else; OwnPortOrder: it is not.
    std::vector<std::pair<std::string, std::string>> environment;  ///< For all processes of the node.
};
/// Where the port of each node listens; 0: not known (any more).
struct AddressesOrder {
    std::vector<std::uint64_t> of_nodes;
};
/// No port will come that somebody else has started.
struct OwnPortOrder {};
/// Nobody needs ports any more.
struct FinishOrder {};
using Order = std::variant<StartOrder, AddressesOrder, OwnPortOrder, EndOrder, FinishOrder>;

/// The node's segment is there.
struct StartedReport {
    std::uint64_t time_ns{0};  ///< By the clock of its machine, as all times in reports.
    std::string agent;         ///< Socket of the agent.
    std::string listen;        ///< Address for the node's port.
};
struct ProcessReport {
    pid_t pid{0};
    ProcessPurpose purpose{ProcessPurpose::member};
    std::uint64_t time_ns{0};
};
struct PortReport {
    std::uint32_t slot{0};
    std::uint64_t address{0};  ///< 0: known to be the port's slot, no more.
};
struct EventReport {
    Event event;
    PlannedFault fault;  ///< Kind and count of the one that fired, if that is the event.
};
struct DiedReport {
    std::uint32_t slot{0};
    std::uint64_t time_ns{0};
    std::string how;
};
struct ProgressReport {
    ProgressSample sample;
};
struct SayReport {
    std::string sentence;
};
/// What members have printed; any bytes.
struct OutputReport {
    std::string bytes;
};
/// All members of the node have ended.
struct EndedReport {
    Verdict verdict;
};
/// The last one: nodes that have said to this one that their work is completed.
struct OverReport {
    std::vector<std::uint32_t> nodes;
};
using Report = std::variant<StartedReport, ProcessReport, PortReport, EventReport, DiedReport, ProgressReport,
                            SayReport, OutputReport, EndedReport, OverReport>;

/// A line with its end.
/// @error invalid_argument  A path or an argument is no valid UTF-8.
[[nodiscard]] tl::expected<std::string, Failure> line_of(const Order& order);
[[nodiscard]] std::string line_of(const Report& report);

/// @error corrupt  Not what the other side writes; says what is wrong with it.
[[nodiscard]] tl::expected<Order, Failure> parse_order(std::string_view line);
[[nodiscard]] tl::expected<Report, Failure> parse_report(std::string_view line);

}  // namespace phoenix::pflight
