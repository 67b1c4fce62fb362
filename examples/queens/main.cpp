// N queens: a search tree over a Space. VNodes with their tasks change hands while messages to them are under way.

#include "queens/worker.hpp"
#include "support/command_line.hpp"
#include "support/launch.hpp"

#include <cstdio>
#include <fmt/format.h>
#include <phoenix/phoenix.hpp>

namespace {

struct Options {
    unsigned board = 12;
    std::uint32_t vnodes = 64;
};

constexpr const char* description =
    "Counts the ways to place N queens on an N x N board so that none attacks another, by a tree search over a Space.\n"
    "Members that have nothing to do are given VNodes of busy ones. A Space survives such hand-over, not death: its "
    "state\n"
    "is in the members' own memory, so when a member is killed the run ends with the error member_lost.";

support::CommandLine<Options> parse_options(int argc, const char* const* argv) {
    return support::parse_command_line<Options>(
        argc, argv, description,
        [](CLI::App& app, Options& options) {
            app.add_option("--board", options.board, "rows and columns of the board, 1 to 24")->capture_default_str();
            app.add_option("--vnodes", options.vnodes, "number of VNodes that hold tasks")->capture_default_str();
        },
        [](const Options& options) -> std::string {
            if (options.board < 1 || options.board > queens::board_max)
                return fmt::format("--board must be 1 to {}", queens::board_max);
            if (options.vnodes == 0) return "--vnodes must be at least 1";
            if (options.vnodes > (1U << 20)) return "--vnodes must be at most 1048576";
            return {};
        });
}

void report(const Options& options, std::uint32_t members, const queens::Totals& totals) {
    fmt::print("queens: {} solutions on a board of {}x{}\n", totals.solutions, options.board, options.board);
    fmt::print("hand-overs: {} VNodes among {} members\n", totals.hand_overs, members);
    std::fflush(stdout);
    const auto known = queens::known_solutions(options.board);
    if (known && *known != totals.solutions)
        throw phoenix::Error{phoenix::Errc::internal,
                             fmt::format("{} solutions were counted, there are {}", totals.solutions, *known)};
}

}  // namespace

int main(int argc, char** argv) {
    const support::CommandLine<Options> line = parse_options(argc, argv);
    if (!line.help.empty()) {
        fmt::print("{}", line.help);
        return 0;
    }
    const Options& options = line.options;
    phoenix::Runtime runtime{argc, argv, support::launch_world()};
    runtime.once("prepare", [&] {
        if (!line.mistake.empty()) throw phoenix::Error{phoenix::Errc::invalid_argument, line.mistake};
    });
    const queens::Numbering numbering{options.vnodes};
    queens::Worker worker{runtime.space("queens", {.vnodes = numbering.total()}), numbering, options.board,
                          runtime.member()};
    const queens::Totals totals = worker.work();
    runtime.once("report", [&] { report(options, runtime.member_count(), totals); });
    return 0;
}
