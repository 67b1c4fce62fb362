#include "base/clock.hpp"
#include "memory/event_ring.hpp"
#include "pflight/argument.hpp"
#include "pflight/command.hpp"
#include "pflight/request_progress.hpp"
#include "pflight/running_job.hpp"
#include "runtime/requests.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace phoenix::pflight {

namespace {

constexpr const char* retire_description = "Let a member hand its VNodes over and leave the running job.";
constexpr const char* retire_examples = R"(  pflight retire 2
  pflight retire 0 --drain-timeout 5 --job my-run
  pflight retire 1 --drain-timeout 0
  pflight retire 1.0
  pflight retire --node 1

A member that is not empty at the drain timeout is killed, and its VNodes go on from their last commits as after any
death. SIGTERM to a member does the same as this command. Exit status: 0 if the member has left, or was killed at the
drain timeout; 1 if it stays, or died of something else.)";

constexpr std::uint64_t recovery_wait_ns = 30'000'000'000;  // from the end of a drain to the view without the member

class Retire : public OptionsCommand {
  public:
    void declare(CLI::App& application) override {
        add_to(application, "retire", retire_description, retire_examples);
        add_optional_word("MEMBER", member_, "Its number, as 'pflight members' shows it; NODE.SLOT with several nodes");
        add_text("--node", node_, "K", "All members of node K instead, whose VNodes go to other nodes");
        add_text("--drain-timeout", drain_timeout_, "S", "Seconds until it is killed (30); 0: no limit");
        add_job_option();
    }

    [[nodiscard]] int run() override {
        if (member_.empty() == node_.empty())
            return complain("MEMBER or --node K is required, and not both; 'pflight retire --help' shows examples.",
                            wrong_usage);
        if (!node_.empty()) return retire_node();
        const auto member = parse_member_name(member_);
        if (!member)
            return complain(fmt::format("MEMBER '{}': a number from 0 to {} is expected; 'pflight members' lists them.",
                                        member_, member_count_max - 1),
                            wrong_usage);
        const auto timeout = seconds_in_ns(drain_timeout_);
        if (!timeout) return wrong_timeout();
        auto job = RunningJob::open(job_);
        if (!job) return cannot_open(job.error());
        const auto node = job->node_of(*member);
        if (!node) return complain(node.error().sentence, refused);
        return retire(**node, member->slot, *timeout);
    }

  private:
    [[nodiscard]] int wrong_timeout() const {
        return complain(fmt::format("--drain-timeout {}: a number of seconds is expected; write for example 5, or "
                                    "0 for no limit.",
                                    drain_timeout_),
                        wrong_usage);
    }

    // All are asked before any is waited for: VNodes are not to go from one to the next.
    [[nodiscard]] int retire_node() const {
        const auto number = node_number(node_);
        if (!number) return complain(number.error().sentence, wrong_usage);
        const auto timeout = seconds_in_ns(drain_timeout_);
        if (!timeout) return wrong_timeout();
        auto job = RunningJob::open(job_);
        if (!job) return cannot_open(job.error());
        if (!job->has_several_nodes())
            return complain(fmt::format("The job '{}' has one node; name a member: pflight retire MEMBER.", job->id()),
                            refused);
        const auto node = job->node(*number);
        if (!node) return complain(node.error().sentence, refused);
        const RunningNode& here = **node;
        auto members = here.members();
        std::erase_if(members, [](const MemberView& member) {
            return member.port || member.state == MemberState::retired || member.state == MemberState::failed;
        });
        if (members.empty())
            return complain(fmt::format("Node {} of job '{}' has no member that could be asked to retire; "
                                        "'pflight members' lists them.",
                                        *number, here.id()),
                            refused);
        // Those that drain already keep the deadline they have.
        const std::uint64_t deadline = *timeout == 0 ? 0 : boot_time_ns() + *timeout;
        for (const MemberView& member : members)
            if (member.wish != RetireWish::wanted)
                request_retirement(here.segment(), member.slot, member.incarnation, deadline);
        int status = good;
        for (const MemberView& member : members) status = std::max(status, follow(here, member, *timeout));
        return status;
    }

    [[nodiscard]] static int retire(const RunningNode& job, std::uint32_t slot, std::uint64_t timeout_ns) {
        auto members = job.members();
        count_vnodes(job.segment(), job.arena(), members);
        if (const auto refusal = retirement_refusal(job.id(), slot, timeout_ns != 0, members, job.node()))
            return complain(*refusal, refused);
        const ControlHeader& header = job.segment().header();
        if (header.agent_pid.load(std::memory_order_acquire) == 0 && header.arena_is_named != 0)
            return complain(fmt::format("The job '{}' was started by mpirun without pflight, and mpirun ends all ranks "
                                        "when one leaves early; start jobs with 'pflight run'.",
                                        job.id()),
                            refused);
        const auto meant =
            std::find_if(members.begin(), members.end(), [&](const MemberView& member) { return member.slot == slot; });
        request_retirement(job.segment(), slot, meant->incarnation, timeout_ns == 0 ? 0 : boot_time_ns() + timeout_ns);
        return follow(job, *meant, timeout_ns);
    }

    [[nodiscard]] static int follow(const RunningNode& job, const MemberView& meant, std::uint64_t timeout_ns) {
        const std::uint32_t slot = meant.slot;
        Retirement state = Retirement::going_on;
        std::optional<std::string> ending;
        const bool in_time = RunningNode::wait_until(
            [&] {
                ending = job.ending();
                auto members = job.members();
                state = retirement_of(slot, meant.incarnation, members);
                if (state == Retirement::died) {
                    // Told when its VNodes have other owners.
                    count_vnodes(job.segment(), job.arena(), members);
                    const bool empty = std::any_of(members.begin(), members.end(), [&](const MemberView& member) {
                        return member.slot == slot && member.vnodes == 0;
                    });
                    return ending || empty;
                }
                return ending || state != Retirement::going_on;
            },
            timeout_ns == 0 ? 0 : timeout_ns + recovery_wait_ns);
        return tell(job, slot, state, ending, in_time);
    }

    [[nodiscard]] static int tell(const RunningNode& job, std::uint32_t slot, Retirement state,
                                  const std::optional<std::string>& ending, bool in_time) {
        const std::string name = job.name_of(slot);
        switch (state) {
            case Retirement::retired:
                say(fmt::format("member {} has left; others have its VNodes\n", name));
                return good;
            case Retirement::kept:
                return complain(
                    fmt::format("Member {} stays in job '{}': nobody else is left to take its VNodes; start "
                                "another one first: pflight join.",
                                name, job.id()),
                    refused);
            case Retirement::ended:
            case Retirement::going_on:
            case Retirement::died: break;
        }
        if (ending) return complain(fmt::format("{} Member {} had not retired before.", *ending, name), refused);
        if (state == Retirement::ended)
            return complain(fmt::format("Member {} came to the end of its program before it had retired.", name),
                            refused);
        if (!in_time)
            return complain(fmt::format("Member {} has not left; 'pflight members' shows how far it is.", name),
                            refused);
        if (!drain_timed_out(job, slot))
            return complain(fmt::format("Member {} died before it was empty; its VNodes were recovered.", name),
                            refused);
        say(fmt::format("member {} was not empty in time: it was killed and its VNodes were recovered\n", name));
        return good;
    }

    [[nodiscard]] static bool drain_timed_out(const RunningNode& job, std::uint32_t slot) {
        EventReader events{job.segment()};
        while (const auto event = events.next())
            if (event->kind == EventKind::drain_timed_out && event->subject == slot) return true;
        return false;
    }

    std::string member_;
    std::string node_;
    std::string drain_timeout_{"30"};
};

}  // namespace

std::unique_ptr<Command> make_retire_command() { return std::make_unique<Retire>(); }

}  // namespace phoenix::pflight
