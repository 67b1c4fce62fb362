#include "control/agent.hpp"
#include "pflight/command.hpp"
#include "pflight/host_address.hpp"
#include "pflight/launcher.hpp"
#include "pflight/launcher_link.hpp"
#include "pflight/output_relay.hpp"
#include "pflight/supervisor.hpp"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <poll.h>
#include <unistd.h>

namespace phoenix::pflight {

namespace {

constexpr int last_report_ms = 10'000;  // for the launcher to read what an agent says last

/// One node's part of a job of several. For the launcher, not for people: `pflight run --emulate-nodes` or `--hosts`
/// starts it and says over its stdin what to do.
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
        std::signal(SIGPIPE, SIG_IGN);  // a launcher on another machine may be gone at any time
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
                               "'pflight agent' is started by 'pflight run' on each node of a job, and that is gone.");
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
        const auto listen = own_address_for(order.listen);
        if (!listen)
            return failed(channel, {Errc::system,
                                    fmt::format("Node {} cannot listen: {}.", order.node, listen.error().sentence)});
        std::optional<OutputRelay> relay;
        if (order.relay) {
            auto made = OutputRelay::create();
            if (!made) return failed(channel, made.error());
            relay = std::move(*made);
        }
        for (const auto& [name, value] : order.environment) setenv(name.c_str(), value.c_str(), 1);
        auto agent = Agent::start(job);
        if (!agent) return failed(channel, agent.error());
        RunOptions options;
        options.nodes = order.nodes;
        options.port_listens_at = *listen;
        options.members = order.members;
        options.job_id = job.job_id;
        options.settings = order.settings;
        options.faults = order.faults;
        options.respawn = order.respawn;
        options.awaits_port = order.awaits_port;
        options.program = order.program;
        options.arguments = order.arguments;
        options.node = order.node;
        options.output_relayed = relay.has_value();
        options.member_output = relay                               ? relay->write_end()
                                : fcntl(order.output, F_GETFD) >= 0 ? order.output
                                                                    : STDERR_FILENO;
        LauncherLink launcher{channel, order, **agent, *listen, relay ? &*relay : nullptr};
        const int status = Supervisor{options, **agent, launcher}.run();
        launcher.look(0);  // what was printed last
        launcher.conclude();
        return status;
    }

    CLI::App* app_{nullptr};
};

}  // namespace

std::unique_ptr<Command> make_agent_command() { return std::make_unique<RunAgent>(); }

}  // namespace phoenix::pflight
