#include "pflight/running_job.hpp"

#include "base/clock.hpp"
#include "pflight/argument.hpp"
#include "pflight/command.hpp"

#include <ctime>
#include <fmt/format.h>

namespace phoenix::pflight {

tl::expected<RunningJob, Failure> RunningJob::open(const std::string& job_id) {
    if (auto checked = check_job_id(job_id); !checked) return tl::unexpected(std::move(checked.error()));
    auto found = observe_nodes(job_id);
    if (!found) return tl::unexpected(std::move(found.error()));
    std::vector<RunningNode> nodes;
    for (ObservedJob& node : *found) nodes.emplace_back(std::move(node));
    return RunningJob{std::move(nodes)};
}

tl::expected<const RunningNode*, Failure> RunningJob::node(std::uint32_t number) const {
    std::string known;
    for (const RunningNode& candidate : nodes_) {
        const std::uint32_t own = candidate.node().value_or(0);
        if (own == number) return &candidate;
        known += fmt::format("{}{}", known.empty() ? "" : ", ", own);
    }
    return refusal(Errc::wrong_state,
                   fmt::format("Node {} of job '{}' does not run here; these do: {}.", number, id(), known));
}

tl::expected<const RunningNode*, Failure> RunningJob::node_of(const MemberName& name) const {
    if (!name.node && has_several_nodes())
        return refusal(Errc::wrong_state, fmt::format("The job '{}' has several nodes, and its members are called "
                                                      "NODE.SLOT, for example 1.{}; 'pflight members' lists them.",
                                                      id(), name.slot));
    return node(name.node.value_or(0));
}

bool RunningNode::has_living_agent() const noexcept {
    const ControlHeader& header = segment().header();
    const auto agent = static_cast<pid_t>(header.agent_pid.load(std::memory_order_acquire));
    return agent != 0 && is_alive({agent, header.agent_start_time});
}

std::optional<std::string> RunningNode::ending() const {
    switch (segment().outcome()) {
        case Outcome::completed: return fmt::format("The job '{}' has finished meanwhile.", id());
        case Outcome::failed:
        case Outcome::interrupted:
            return fmt::format("The job '{}' has ended meanwhile: {}", id(), segment().outcome_text());
        case Outcome::running:
        case Outcome::deciding: break;
    }
    // Without an agent nobody decides that the work is done.
    if (!segment().in_use()) return fmt::format("All processes of job '{}' have ended meanwhile.", id());
    return std::nullopt;
}

bool RunningNode::wait_until(const std::function<bool()>& done, std::uint64_t timeout_ns) {
    const std::uint64_t start = boot_time_ns();
    while (!done()) {
        if (timeout_ns != 0 && boot_time_ns() > start + timeout_ns) return false;
        const timespec pause{0, 10'000'000};
        nanosleep(&pause, nullptr);
    }
    return true;
}

int cannot_open(const Failure& failure) {
    return complain(failure.sentence, failure.code == Errc::invalid_argument ? wrong_usage : refused);
}

}  // namespace phoenix::pflight
