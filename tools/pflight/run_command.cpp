#include "control/agent.hpp"
#include "pflight/command.hpp"
#include "pflight/job_launcher.hpp"
#include "pflight/run_options.hpp"
#include "pflight/supervisor.hpp"
#include "pflight/terminal.hpp"

namespace phoenix::pflight {

namespace {

class Run : public Command {
  public:
    void declare(CLI::App& application) override { command_.declare(application); }
    [[nodiscard]] bool chosen() const override { return command_.chosen(); }
    [[nodiscard]] int run() override {
        const auto options = command_.checked();
        if (!options) return complain(options.error().sentence, wrong_usage);
        block_supervised_signals();
        if (!options->places.empty()) return JobLauncher{*options}.run();
        AgentOptions job;
        job.job_id = options->job_id;
        job.settings = options->settings;
        job.faults = options->faults;
        job.expected_members = options->members;
        auto agent = Agent::start(job);
        if (!agent) return complain(agent.error().sentence, refused);
        Terminal terminal{*options, (*agent)->segment(), (*agent)->arena()};
        return Supervisor{*options, **agent, terminal}.run();
    }

  private:
    RunCommand command_;
};

}  // namespace

std::unique_ptr<Command> make_run_command() { return std::make_unique<Run>(); }

}  // namespace phoenix::pflight
