/// pflight: starts jobs and sees them through.

#include "pflight/run_options.hpp"
#include "pflight/supervisor.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <fmt/format.h>

namespace {

constexpr int wrong_usage = 2;

constexpr const char* footer = R"(
examples:
  pflight run -n 4 ./plate --size 512x512 --vnodes 64 --steps 300
  pflight run --help)";

int complain(const std::string& sentence, int status) {
    std::fputs(fmt::format("pflight: {}\n", sentence).c_str(), stderr);  // nobody may be reading
    return status;
}

int run_job(const phoenix::pflight::RunCommand& command) {
    const auto options = command.checked();
    if (!options) return complain(options.error().sentence, wrong_usage);
    phoenix::pflight::block_supervised_signals();
    phoenix::AgentOptions job;
    job.job_id = options->job_id;
    job.settings = options->settings;
    job.faults = options->faults;
    job.expected_members = options->members;
    auto agent = phoenix::Agent::start(job);
    if (!agent) return complain(agent.error().sentence, 1);
    return phoenix::pflight::Supervisor{*options, **agent}.run();
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App application{"PhoenixFlight HPC: run programs that survive the death of their processes.", "pflight"};
    application.set_version_flag("--version", "pflight " PHOENIX_VERSION);
    application.footer(footer);
    application.require_subcommand(1);
    phoenix::pflight::RunCommand run;
    run.declare(application);
    try {
        application.parse(argc, argv);
    } catch (const CLI::Success& success) {
        return application.exit(success);  // --help, --version
    } catch (const CLI::ParseError& error) {
        const auto is_meant = [&](const CLI::App* command) { return command->check_name(argv[1]); };
        if (argc > 1 && argv[1][0] != '-' && application.get_subcommands(is_meant).empty())
            return complain(fmt::format("There is no command '{}'; 'pflight --help' lists them.", argv[1]),
                            wrong_usage);
        return complain(fmt::format("{}; 'pflight --help' and 'pflight run --help' show the usage.", error.what()),
                        wrong_usage);
    }
    try {
        return run_job(run);
    } catch (const std::exception& error) {
        return complain(fmt::format("{}.", error.what()), 1);
    }
}
