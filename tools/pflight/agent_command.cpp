#include "control/agent.hpp"
#include "pflight/command.hpp"
#include "pflight/launcher.hpp"
#include "pflight/launcher_link.hpp"
#include "pflight/supervisor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

namespace phoenix::pflight {

namespace {

constexpr int last_report_ms = 10'000;  // for the launcher to read what an agent says last

/// One node's part of a job of several. For the launcher, not for people: `pflight run --emulate-nodes` starts it and
/// says over its stdin what to do.
class RunAgent : public Command {
  public:
    void declare(CLI::App& application) override {
        app_ = application.add_subcommand("agent", "");
        app_->group("");  // not in --help
    }
    [[nodiscard]] bool chosen() const override { return app_->parsed(); }

    [[nodiscard]] int run() override {
        block_supervised_signals();
        // Where the launcher has put its stdout, for the members; it is not to leak into them beside that.
        fcntl(passed_on_descriptor, F_SETFD, FD_CLOEXEC);
        LineChannel channel{FileDescriptor{fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10)},
                            FileDescriptor{fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10)}};
        const auto order = first_order(channel);
        if (!order) return complain(order.error().sentence, wrong_usage);
        const int status = serve(*order, channel);
        channel.drain(last_report_ms);
        return status;
    }

  private:
    static tl::expected<StartOrder, Failure> first_order(LineChannel& channel) {
        for (;;) {
            while (const auto line = channel.take_line()) {
                auto order = parse_order(*line);
                if (!order) return tl::unexpected(std::move(order.error()));
                if (auto* start = std::get_if<StartOrder>(&*order)) return std::move(*start);
            }
            if (channel.closed())
                return refusal(Errc::wrong_state,
                               "'pflight agent' is started by 'pflight run --emulate-nodes', which is gone.");
            pollfd wait{channel.descriptor(), POLLIN, 0};
            poll(&wait, 1, -1);
        }
    }

    static int failed(LineChannel& channel, const Failure& failure) {
        channel.send(line_of(Report{EndedReport{{Outcome::failed, failure.code, failure.sentence, refused}}}));
        return refused;
    }

    static int serve(const StartOrder& order, LineChannel& channel) {
        if (!order.directory.empty() && chdir(order.directory.c_str()) != 0)
            return failed(channel, {Errc::system, fmt::format("Node {} has no directory '{}' to run the program in.",
                                                              order.node, order.directory)});
        AgentOptions job;
        job.job_id = fmt::format("{}.{}", order.job_id, order.node);
        job.settings = order.settings;
        job.faults = order.faults;
        job.expected_members = order.members;
        job.node_id = order.node;
        job.node_count = order.nodes;
        job.secret = order.secret;
        auto agent = Agent::start(job);
        if (!agent) return failed(channel, agent.error());
        RunOptions options;
        options.members = order.members;
        options.job_id = job.job_id;
        options.settings = order.settings;
        options.faults = order.faults;
        options.respawn = order.respawn;
        options.program = order.program;
        options.arguments = order.arguments;
        options.node = order.node;
        options.member_output = fcntl(order.output, F_GETFD) >= 0 ? order.output : STDERR_FILENO;
        LauncherLink launcher{channel, order, **agent};
        return Supervisor{options, **agent, launcher}.run();
    }

    CLI::App* app_{nullptr};
};

}  // namespace

std::unique_ptr<Command> make_agent_command() { return std::make_unique<RunAgent>(); }

}  // namespace phoenix::pflight
