#include "pflight/verdict.hpp"

#include "pflight/member_name.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <map>

namespace phoenix::pflight {

namespace {

std::string name_of_member(const MemberProcess& process, std::optional<std::uint32_t> node) {
    return process.slot
               ? fmt::format("member {} (process {})", text_of(MemberName{node, *process.slot}), process.identity.pid)
               : fmt::format("process {}, which had not attached,", process.identity.pid);
}

// "3 by SIGKILL, 1 by SIGSEGV, 1 exited early"
std::string endings(const std::vector<MemberProcess>& processes) {
    std::map<std::string, int> counts;
    for (const MemberProcess& process : processes) {
        const std::optional<int> signal = process.ending_signal();
        ++counts[signal ? "by " + signal_name(*signal) : "exited early"];
    }
    std::string text;
    for (const auto& [how, count] : counts) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, how);
    return text;
}

std::string remedy(const std::optional<LastCheckpoint>& checkpoint) {
    if (checkpoint)
        return fmt::format("the last checkpoint is that of step {}: go on with --restart {}.", checkpoint->step,
                           checkpoint->directory);
    return "there is no checkpoint to go on from: write some with --checkpoint DIR --checkpoint-every K.";
}

}  // namespace

std::string signal_name(int number) {
    const char* name = sigabbrev_np(number);
    return name == nullptr ? fmt::format("signal {}", number) : fmt::format("SIG{}", name);
}

Verdict verdict_of(const std::vector<MemberProcess>& processes, const std::optional<LastCheckpoint>& checkpoint,
                   std::optional<std::uint32_t> node) {
    const std::string of_node = node ? fmt::format(" of node {}", *node) : std::string{};
    // One that was to join later and never did is no part of the work; whoever asked for it is told.
    const auto exited_badly = std::find_if(processes.begin(), processes.end(), [](const MemberProcess& process) {
        return process.exit_status().value_or(0) != 0 && (process.attached() || !process.grown);
    });
    if (exited_badly != processes.end()) {
        const int status = *exited_badly->exit_status();
        return {Outcome::failed, Errc::step_failed,
                fmt::format("The program failed: {} exited with status {}; see its messages above.",
                            name_of_member(*exited_badly, node), status),
                status};
    }
    const auto in_good_order = [](const MemberProcess& process) {
        return process.left_in_order && !process.drained && process.exit_status() == 0;
    };
    if (std::any_of(processes.begin(), processes.end(), in_good_order)) return {};
    const bool nobody_attached = std::none_of(processes.begin(), processes.end(),
                                              [](const MemberProcess& process) { return process.attached(); });
    const bool all_exited = std::all_of(processes.begin(), processes.end(), [](const MemberProcess& process) {
        return process.exit_status().has_value() || (!process.is_child && !process.attached());
    });
    if (nobody_attached && all_exited)
        return {Outcome::failed, Errc::wrong_state,
                "The program ended before it made a phoenix::Runtime; see its messages above, or start it without "
                "pflight if it is "
                "not a PhoenixFlight program.",
                1};
    if (nobody_attached)
        return {
            Outcome::failed, Errc::member_lost,
            fmt::format("All {} processes{} died before they made a phoenix::Runtime ({}); see their messages above.",
                        processes.size(), of_node, endings(processes)),
            1};
    const bool all_retired =
        std::all_of(processes.begin(), processes.end(), [](const MemberProcess& process) { return process.drained; });
    if (node && all_retired)
        return {Outcome::failed, Errc::member_lost,
                fmt::format("All members{} have retired, and no other node completed the work.", of_node), 1, true};
    return {Outcome::failed, Errc::member_lost,
            fmt::format("All {} members{} died ({}); {}", processes.size(), of_node, endings(processes),
                        remedy(checkpoint)),
            1, node.has_value()};
}

}  // namespace phoenix::pflight
