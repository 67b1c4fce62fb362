/// pflight: starts jobs and sees them through; shows and changes those that run.

#include "pflight/command.hpp"
#include "pflight/program.hpp"

#include <array>
#include <exception>
#include <fmt/format.h>
#include <memory>

namespace {

using namespace phoenix::pflight;

constexpr std::array table{make_run_command,      make_status_command, make_members_command, make_vnodes_command,
                           make_join_command,     make_retire_command, make_move_command,    make_clean_command,
                           make_selftest_command, make_agent_command,  make_port_command};

constexpr const char* footer = R"(
examples:
  pflight run -n 4 ./plate --size 512x512 --vnodes 64 --steps 300
  pflight run -n 4 --emulate-nodes 2 ./plate --size 512x512 --vnodes 64 --steps 300
  pflight run --hosts node1:8,node2:8 ./plate --size 4096x4096 --vnodes 256 --steps 300
  pflight status
  pflight members --json
  pflight vnodes --domain plate
  pflight join -n 2
  pflight retire 1
  pflight move 5 2
  pflight clean --dry-run
  pflight selftest messages

'pflight COMMAND --help' tells more. All but run, clean and selftest are for a running job, from another terminal: the only one of
this user on this machine, or the one that --job ID names.)";

std::string usage_sentence(const CLI::App& application, const CLI::ParseError& error, int argc, char** argv) {
    const auto is_meant = [&](const CLI::App* command) { return command->check_name(argv[1]); };
    if (argc > 1 && argv[1][0] != '-' && application.get_subcommands(is_meant).empty())
        return fmt::format("There is no command '{}'; 'pflight --help' lists them.", argv[1]);
    const auto chosen = application.get_subcommands();
    if (chosen.empty()) return fmt::format("{}; 'pflight --help' shows the usage.", error.what());
    const std::vector<std::string> unknown = chosen.front()->remaining();
    if (!unknown.empty() && unknown.front().front() == '-') return unknown_option(unknown.front(), *chosen.front());
    return fmt::format("{}; 'pflight {} --help' shows the usage.", error.what(), chosen.front()->get_name());
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App application{"PhoenixFlight HPC: run programs that survive the death of their processes.", "pflight"};
    application.set_version_flag("--version", "pflight " PHOENIX_VERSION);
    application.footer(footer);
    application.require_subcommand(1);
    std::vector<std::unique_ptr<Command>> commands;
    for (const auto make : table) {
        commands.push_back(make());
        commands.back()->declare(application);
    }
    try {
        application.parse(argc, argv);
    } catch (const CLI::Success& success) {
        return application.exit(success);  // --help, --version
    } catch (const CLI::ParseError& error) {
        return complain(usage_sentence(application, error, argc, argv), wrong_usage);
    }
    try {
        for (const auto& command : commands)
            if (command->chosen()) return command->run();
    } catch (const std::exception& error) {
        return complain(fmt::format("{}.", error.what()), refused);
    }
    return wrong_usage;
}
