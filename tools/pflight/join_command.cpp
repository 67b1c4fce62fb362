#include "memory/occupancy.hpp"
#include "pflight/argument.hpp"
#include "pflight/command.hpp"
#include "pflight/request_progress.hpp"
#include "pflight/running_job.hpp"
#include "runtime/requests.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace phoenix::pflight {

namespace {

constexpr const char* join_description = "Start more members of a running job.";
constexpr const char* join_examples = R"(  pflight join
  pflight join -n 2 --job my-run --timeout 60
  pflight join --node 1

They take a share of the VNodes at once. Exit status: 0 if all of them joined.)";

class Join : public OptionsCommand {
  public:
    void declare(CLI::App& application) override {
        add_to(application, "join", join_description, join_examples);
        add_text("-n,--members", members_, "N", "Members to start (1)");
        add_text("--node", node_, "K", "The node they join (the one with the fewest members)");
        add_text("--timeout", timeout_, "S", "Seconds to wait for them (30)");
        add_job_option();
    }

    [[nodiscard]] int run() override {
        const auto wanted = whole_number(members_);
        if (!wanted || *wanted == 0 || *wanted >= member_count_max)
            return complain(fmt::format("-n {}: a number of members from 1 to {} is expected; write for example -n 2.",
                                        members_, member_count_max - 1),
                            wrong_usage);
        const auto timeout = seconds_in_ns(timeout_);
        if (!timeout || *timeout == 0)
            return complain(
                fmt::format("--timeout {}: a number of seconds is expected; write for example 60.", timeout_),
                wrong_usage);
        const auto number = node_number(node_);
        if (!node_.empty() && !number) return complain(number.error().sentence, wrong_usage);
        auto job = RunningJob::open(job_);
        if (!job) return cannot_open(job.error());
        const auto node = node_.empty() ? smallest(*job) : job->node(*number);
        if (!node) return complain(node.error().sentence, refused);
        return grow(**node, static_cast<std::uint32_t>(*wanted), *timeout);
    }

  private:
    [[nodiscard]] static tl::expected<const RunningNode*, Failure> smallest(const RunningJob& job) {
        const auto living = [](const RunningNode& node) {
            const std::vector<MemberView> members = node.members();
            return std::count_if(members.begin(), members.end(), [](const MemberView& member) {
                return !member.port && member.state != MemberState::failed && member.state != MemberState::retired;
            });
        };
        const auto& nodes = job.nodes();
        return &*std::min_element(nodes.begin(), nodes.end(), [&](const RunningNode& a, const RunningNode& b) {
            return std::pair{is_over(a.segment()), living(a)} < std::pair{is_over(b.segment()), living(b)};
        });
    }

    [[nodiscard]] int grow(const RunningNode& job, std::uint32_t wanted, std::uint64_t timeout_ns) const {
        const ControlHeader& header = job.segment().header();
        const std::vector<MemberView> before = job.members();
        const std::uint32_t failed_before = header.grow_failed.load(std::memory_order_acquire);
        const std::uint32_t asked_for =
            header.grow_wanted.load(std::memory_order_acquire) - header.grow_started.load(std::memory_order_acquire);
        if (const std::uint32_t left = free_slots(before, asked_for); left < wanted)
            return complain(
                fmt::format(
                    "The member table of job '{}' has room for {} more: a job has at most {} members at once, "
                    "dead ones counted; {}.",
                    job.id(), left, member_count_max,
                    left == 0 ? "wait until one retires, or restart the job from a checkpoint" : "ask for fewer"),
                refused);
        if (const auto ending = job.ending()) return complain(*ending, refused);
        if (is_over(job.segment()))
            return complain(fmt::format("Node {} of job '{}' has no members any more and takes none; name another: "
                                        "--node K ('pflight status' lists them).",
                                        header.node_id, job.id()),
                            refused);
        if (!request_growth(job.segment(), wanted))
            return complain(fmt::format("Nobody can start members of job '{}': it has no living pflight; start jobs "
                                        "with 'pflight run'.",
                                        job.id()),
                            refused);
        return follow(job, before, failed_before, wanted, timeout_ns);
    }

    [[nodiscard]] static int follow(const RunningNode& job, const std::vector<MemberView>& before,
                                    std::uint32_t failed_before, std::uint32_t wanted, std::uint64_t timeout_ns) {
        Growth growth;
        std::vector<MemberView> now;
        std::optional<std::string> ending;
        const bool in_time = RunningNode::wait_until(
            [&] {
                ending = job.ending();  // before the members are looked at: they may have come first
                if (!ending && !job.has_living_agent())
                    ending = fmt::format("The pflight of job '{}' died before it had started them.", job.id());
                now = job.members();
                const std::uint32_t failed = job.segment().header().grow_failed.load(std::memory_order_acquire);
                growth = growth_since(before, failed - failed_before, now);
                return ending || growth.joined.size() + growth.lost >= wanted;
            },
            timeout_ns);
        const std::string text = growth_text(growth, wanted, job.node());
        if (growth.joined.size() >= wanted) {
            say(text + "\n");
            return good;
        }
        if (ending) return complain(fmt::format("{} By then {}.", *ending, text), refused);
        if (!in_time)
            return complain(fmt::format("Within {:g} s {}; others may still come: 'pflight members' shows it.",
                                        static_cast<double>(timeout_ns) * 1e-9, text),
                            refused);
        const bool finishing = std::any_of(now.begin(), now.end(), [](const MemberView& member) {
            return member.state == MemberState::retired && !member.drained;
        });
        return complain(
            finishing
                ? fmt::format("The job '{}' is finishing and takes nobody any more; {}.", job.id(), text)
                : fmt::format("{} of {} processes ended before they were members (see what they say where pflight "
                              "runs); {}.",
                              growth.lost, wanted, text),
            refused);
    }

    std::string node_;
    std::string members_{"1"};
    std::string timeout_{"30"};
};

}  // namespace

std::unique_ptr<Command> make_join_command() { return std::make_unique<Join>(); }

}  // namespace phoenix::pflight
