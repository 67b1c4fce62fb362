#include "pflight/run_options.hpp"

#include "membership/placement_rule.hpp"
#include "pflight/argument.hpp"
#include "pflight/node_shares.hpp"
#include "pflight/program.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <numeric>
#include <optional>

namespace phoenix::pflight {

namespace {

constexpr const char* run_description = "Start a program as one job of several members and see it through to its end.";
constexpr const char* run_footer = R"(
examples:
  pflight run -n 4 ./plate --size 512x512 --vnodes 64 --steps 300
  pflight run -n 4 --fault kill:2@100 --fault kill:coordinator@200 --timeline ./plate --steps 300
  pflight run -n 4 --chaos seed=7,kills=3 ./plate --steps 300
  pflight run -n 2 --fault join:2@100 --fault retire:0@200 --timeline ./plate --steps 300
  pflight run -n 4 --placement ring:64 ./plate --size 512x512 --vnodes 64 --steps 300
  pflight run -n 4 --checkpoint saved --checkpoint-every 100 ./plate --steps 3000
  pflight run -n 2 --restart saved ./plate --steps 3000
  pflight run -n 4 --emulate-nodes 2 --fault kill:port1@50 ./plate --steps 300
  pflight run --hosts node1:8,node2:8 ./plate --steps 300

Exit status: 0 if the work was completed, whatever died meanwhile; 128 + signal after Ctrl-C or SIGTERM; else the status
the program ended with, or 1.)";

// The program and its arguments are not options, so the generated line does not show them.
struct RunFormatter : CLI::Formatter {
    std::string make_usage(const CLI::App* /*application*/, std::string /*name*/) const override {
        return "Usage: pflight run -n N [OPTIONS] PROGRAM [ARGUMENTS...]\n";
    }
};

tl::unexpected<Failure> wrong(std::string sentence) {
    return tl::unexpected(Failure{Errc::invalid_argument, std::move(sentence)});
}

// 65536, 64K, 8M, 2G.
std::optional<std::uint64_t> size_in_bytes(std::string_view text) {
    unsigned shift = 0;
    if (!text.empty()) {
        switch (std::toupper(static_cast<unsigned char>(text.back()))) {
            case 'K': shift = 10; break;
            case 'M': shift = 20; break;
            case 'G': shift = 30; break;
            default: break;
        }
    }
    if (shift != 0) text.remove_suffix(1);
    const auto number = whole_number(text);
    if (!number || *number > (~std::uint64_t{0} >> shift)) return std::nullopt;
    return *number << shift;
}

}  // namespace

void RunCommand::declare(CLI::App& application) {
    command_ = application.add_subcommand("run", run_description);
    command_->prefix_command();  // what follows the program is the program's
    command_->footer(run_footer);
    command_->formatter(std::make_shared<RunFormatter>());
    const auto text = [this](const char* name, std::string& value, const char* placeholder, const char* help) {
        command_->add_option(name, value, help)->type_name(placeholder)->group("Options");
    };
    text("-n,--members", members_, "N", "Members to start, 1 to 256");
    text("--emulate-nodes", nodes_, "K",
         "Share the members out over K nodes with memory of their own, on this machine");
    text("--between", between_, "HOW",
         "What carries payloads between nodes: direct (TCP), or mpi or mpi:SIZE for those from SIZE on (64K)");
    command_->add_flag("--local", local_, "Fork the members, without MPI");
    command_->add_flag("--mpi", mpi_, "Start the members as ranks of one mpirun (the default where there is one)");
    command_
        ->add_option("--fault", faults_,
                     "At a step: kill:2@300, kill:coordinator@50, stop:1@200+3s, join:2@500, retire:1@400; "
                     "with nodes also kill:port1@50")
        ->type_name("SPEC")
        ->allow_extra_args(false);
    text("--chaos", chaos_, "SPEC", "At random: seed=7,kills=2,joins=2,retires=1,moves=20; with nodes also ports=2");
    command_->add_flag("--always-move", always_move_, "Test: every VNode moves to another member at every step");
    text("--placement", placement_, "RULE",
         "Who executes what: block, ring, ring:TOKENS or topology, where a domain does not choose itself (block)");
    text("--checkpoint", checkpoint_, "DIR", "Write checkpoints into DIR");
    text("--checkpoint-every", checkpoint_every_, "K", "Steps between two checkpoints");
    text("--checkpoint-keep", checkpoint_keep_, "N", "Checkpoints kept (2)");
    text("--restart", restart_, "DIR", "Go on from the newest good checkpoint in DIR");
    command_->add_flag("--verify-replay", verify_replay_,
                       "Run each step twice and compare: is the program recoverable?");
    command_->add_flag("-q,--quiet", quiet_, "No lines but errors");
    text("--progress", progress_, "MODE", "auto, always, never or jsonl");
    command_->add_flag("--timeline", timeline_, "Print what happens to the members, with times from death to recovery");
    command_->add_flag("--respawn", respawn_, "Replace members that die (with --local)");
    text("--job", job_, "ID", "Name of the job (else one is drawn)");
    text("--stack-size", stack_size_, "SIZE", "Stack of a VNode's step, for example 2M (1M)");
    text("--log-memory-max", log_memory_max_, "SIZE", "Messages a member may retain, for example 8G (4G)");
    text("--heartbeat-timeout", heartbeat_timeout_, "TIME", "A member without a sign of life for so long is hung (2s)");
    hosts_.declare(*command_);
    text("--start-timeout", start_timeout_, "TIME", "Wait so long for all members at the start (30s)");
}

tl::expected<RunOptions, Failure> RunCommand::checked() const {
    RunOptions options;
    for (const auto check : {&RunCommand::check_program, &RunCommand::check_hosts, &RunCommand::check_members,
                             &RunCommand::check_nodes, &RunCommand::check_mode, &RunCommand::check_faults,
                             &RunCommand::check_checkpoints, &RunCommand::check_limits, &RunCommand::check_output}) {
        if (auto done = (this->*check)(options); !done) return tl::unexpected(std::move(done.error()));
    }
    return options;
}

RunCommand::Check RunCommand::check_program(RunOptions& options) const {
    std::vector<std::string> words = command_->remaining();
    if (!words.empty() && words.front() == "--")
        words.erase(words.begin());
    else if (!words.empty() && words.front().size() > 1 && words.front().front() == '-')
        return wrong(unknown_option(words.front(), *command_));
    if (words.empty()) return wrong("No program is named; write for example: pflight run -n 4 ./plate --steps 100.");
    auto program = find_program(words.front());
    if (!program) return tl::unexpected(std::move(program.error()));
    options.program = std::move(*program);
    options.arguments.assign(words.begin() + 1, words.end());
    return {};
}

tl::expected<std::uint32_t, Failure> RunCommand::member_number() const {
    if (members_.empty()) return wrong("How many members to start is not said; write for example -n 4.");
    const auto number = whole_number(members_);
    if (!number || *number == 0 || *number > member_count_max)
        return wrong(
            fmt::format("-n {}: a job has 1 to {} members; write for example -n 4.", members_, member_count_max));
    return static_cast<std::uint32_t>(*number);
}

RunCommand::Check RunCommand::check_hosts(RunOptions& options) const {
    std::optional<std::uint32_t> members;
    if (hosts_.used() && !members_.empty()) {
        const auto number = member_number();
        if (!number) return tl::unexpected(number.error());
        members = *number;
    }
    if (hosts_.used() && !nodes_.empty())
        return wrong("--hosts names real nodes and --emulate-nodes makes some; write one of them.");
    if (hosts_.used() && (local_ || mpi_))
        return wrong("--hosts starts members by agents, without MPI; leave --local and --mpi out.");
    auto plan = hosts_.checked(members);
    if (!plan) return tl::unexpected(std::move(plan.error()));
    if (!*plan) return {};
    options.places = std::move((*plan)->places);
    options.shares = std::move((*plan)->shares);
    options.exported = std::move((*plan)->exported);
    options.remote_shell = std::move((*plan)->remote_shell);
    options.nodes = static_cast<std::uint32_t>(options.places.size());
    options.members = std::accumulate(options.shares.begin(), options.shares.end(), 0U);
    return {};
}

RunCommand::Check RunCommand::check_members(RunOptions& options) const {
    if (!hosts_.used()) {
        const auto number = member_number();
        if (!number) return tl::unexpected(number.error());
        options.members = *number;
    }
    if (verify_replay_ && options.members < 2)
        return wrong("--verify-replay runs each step a second time in another member; write -n 2 or more.");
    options.settings.verify_replay = verify_replay_;
    if (always_move_ && verify_replay_)
        return wrong("--always-move and --verify-replay both decide where steps run; write one of them.");
    options.settings.always_move = always_move_;
    if (const auto rule = parse_placement(placement_); !rule) return wrong("--placement " + rule.error().sentence);
    options.settings.placement = placement_;
    return {};
}

RunCommand::Check RunCommand::check_between(RunOptions& options) const {
    if (between_.empty() || between_ == "direct") return {};
    const std::size_t colon = between_.find(':');
    if (between_.substr(0, colon) != "mpi")
        return wrong(fmt::format("--between {}: write 'direct', or 'mpi' for large payloads by MPI.", between_));
    if (!built_with_mpi())
        return wrong(
            "--between mpi: this pflight was built without MPI; leave it out, or build with -DPHOENIX_MPI=ON.");
    if (path_of_command("mpirun").empty())
        return wrong("--between mpi: there is no mpirun on PATH; install Open MPI (openmpi-bin) or leave it out.");
    options.mpi_between = true;
    if (colon == std::string::npos) return {};
    const auto size = size_in_bytes(std::string_view{between_}.substr(colon + 1));
    if (!size || *size == 0)
        return wrong(
            fmt::format("--between {}: the smallest payload for MPI is a size; write for example mpi:256K.", between_));
    options.carry_from = *size;
    return {};
}

RunCommand::Check RunCommand::check_nodes(RunOptions& options) const {
    if (auto known = check_between(options); !known) return known;
    if (nodes_.empty()) {
        if (!between_.empty() && options.nodes == 1)
            return wrong("--between needs several nodes; add for example --emulate-nodes 2.");
        if (verify_replay_ &&
            std::any_of(options.shares.begin(), options.shares.end(), [](auto share) { return share < 2; }))
            return wrong(
                "--verify-replay runs each step a second time in another member of its node; give each host 2 or "
                "more.");
        return {};
    }
    const auto number = whole_number(nodes_);
    if (!number || *number == 0 || *number > node_count_max)
        return wrong(
            fmt::format("--emulate-nodes {}: a job has 1 to {} nodes; write for example 2.", nodes_, node_count_max));
    if (*number > options.members)
        return wrong(
            fmt::format("--emulate-nodes {}: each node needs a member, and -n {} is fewer; write -n {} or "
                        "more.",
                        nodes_, options.members, nodes_));
    options.nodes = static_cast<std::uint32_t>(*number);
    if (options.nodes == 1) return {};
    options.places.assign(options.nodes, NodePlace{});
    options.shares = member_shares(options.members, options.nodes);
    if (mpi_) return wrong("--emulate-nodes forks the members, without MPI; leave --mpi out.");
    if (verify_replay_ && options.members < 2 * options.nodes)
        return wrong(
            fmt::format("--verify-replay runs each step a second time in another member of its node; with "
                        "--emulate-nodes {} write -n {} or more.",
                        nodes_, 2 * options.nodes));
    return {};
}

RunCommand::Check RunCommand::check_mode(RunOptions& options) const {
    if (local_ && mpi_) return wrong("--local and --mpi exclude each other; write one of them.");
    if (mpi_ && respawn_) return wrong("--respawn replaces members by forked ones; write --local instead of --mpi.");
    options.respawn = respawn_;
    options.mpirun = path_of_command("mpirun");
    if (mpi_ && !built_with_mpi())
        return wrong("This pflight was built without MPI; write --local, or build with -DPHOENIX_MPI=ON.");
    if (mpi_ && options.mpirun.empty())
        return wrong("There is no mpirun on PATH; install Open MPI (openmpi-bin) or write --local.");
    const bool mpi_possible = built_with_mpi() && !options.mpirun.empty() && !respawn_ && options.places.empty();
    options.mode = mpi_ || (!local_ && mpi_possible) ? LaunchMode::mpi : LaunchMode::local;
    options.settings.started_by_mpirun = options.mode == LaunchMode::mpi;
    return {};
}

RunCommand::Check RunCommand::check_node_faults(RunOptions& options) const {
    std::vector<PlannedFault> faults;
    for (const std::string& text : faults_) {
        auto fault = parse_fault(text);
        if (!fault) return tl::unexpected(std::move(fault.error()));
        faults.push_back(*fault);
    }
    std::optional<Chaos> chaos;
    if (!chaos_.empty()) {
        const auto parsed = parse_chaos(chaos_);
        if (!parsed) return tl::unexpected(parsed.error());
        chaos = *parsed;
    }
    auto plans = faults_of_nodes(faults, chaos, options.shares, respawn_);
    if (!plans) return tl::unexpected(std::move(plans.error()));
    options.node_faults = std::move(*plans);
    return {};
}

RunCommand::Check RunCommand::check_faults(RunOptions& options) const {
    if (options.nodes > 1) return check_node_faults(options);
    for (const std::string& text : faults_) {
        auto fault = parse_fault(text);
        if (!fault) return tl::unexpected(std::move(fault.error()));
        if (fault->kind == FaultKind::kill_port)
            return wrong(
                fmt::format("--fault '{}': a job of one node has no port; add for example --emulate-nodes 2.", text));
        if (fault->target >= static_cast<std::int32_t>(options.members) && !respawn_)
            return wrong(fmt::format("--fault '{}': there is no member {}; with -n {} they are 0 to {}.", text,
                                     fault->target, options.members, options.members - 1));
        options.faults.push_back(*fault);
    }
    if (!chaos_.empty()) {
        const auto chaos = parse_chaos(chaos_);
        if (!chaos) return tl::unexpected(chaos.error());
        if (chaos->ports != 0)
            return wrong(
                fmt::format("--chaos '{}': a job of one node has no port; add for example --emulate-nodes 2.", chaos_));
        if (chaos->losses() >= options.members + chaos->joins && !respawn_)
            return wrong(fmt::format(
                "--chaos '{}': {} kills and retires leave nobody of {} members; write fewer, more members or "
                "joins, or --respawn.",
                chaos_, chaos->losses(), options.members + chaos->joins));
        for (const PlannedFault& fault : chaos_faults(*chaos, static_cast<std::uint32_t>(options.faults.size())))
            options.faults.push_back(fault);
    }
    if (options.faults.size() > fault_count_max)
        return wrong(fmt::format("{} faults are planned and {} are possible; plan fewer.", options.faults.size(),
                                 fault_count_max));
    return {};
}

RunCommand::Check RunCommand::check_checkpoints(RunOptions& options) const {
    if (!checkpoint_every_.empty() && checkpoint_.empty())
        return wrong("--checkpoint-every needs a place to write to; add --checkpoint DIR.");
    if (!checkpoint_keep_.empty() && checkpoint_.empty())
        return wrong("--checkpoint-keep needs a place to write to; add --checkpoint DIR.");
    if (!checkpoint_.empty()) {
        const auto every = whole_number(checkpoint_every_);
        if (checkpoint_every_.empty())
            return wrong("--checkpoint does not say how often to write; add for example --checkpoint-every 100.");
        if (!every || *every == 0)
            return wrong(
                fmt::format("--checkpoint-every {}: a number of steps from 1 is expected; write for example 100.",
                            checkpoint_every_));
        options.settings.checkpoint_every = *every;
        const auto keep = checkpoint_keep_.empty() ? std::optional<std::uint64_t>{2} : whole_number(checkpoint_keep_);
        if (!keep || *keep == 0 || *keep > 1'000'000)
            return wrong(fmt::format("--checkpoint-keep {}: a number from 1 is expected; write for example 2.",
                                     checkpoint_keep_));
        options.settings.checkpoint_keep = static_cast<std::uint32_t>(*keep);
        auto folder = writable_folder(checkpoint_);
        if (!folder) return tl::unexpected(std::move(folder.error()));
        options.settings.checkpoint_directory = std::move(*folder);
    }
    if (!restart_.empty()) {
        std::error_code error;
        if (!std::filesystem::is_directory(restart_, error))
            return wrong(fmt::format(
                "--restart {}: there is no such directory; give the one that --checkpoint wrote to.", restart_));
        options.settings.restart_directory = std::filesystem::absolute(restart_).lexically_normal().string();
    }
    return {};
}

RunCommand::Check RunCommand::check_limits(RunOptions& options) const {
    Settings& settings = options.settings;
    if (!stack_size_.empty()) {
        const auto size = size_in_bytes(stack_size_);
        if (!size || *size < (64U << 10) || *size > (1U << 30))
            return wrong(
                fmt::format("--stack-size {}: a size from 64K to 1G is expected; write for example 2M.", stack_size_));
        settings.stack_size_bytes = *size;
    }
    if (!log_memory_max_.empty()) {
        const auto size = size_in_bytes(log_memory_max_);
        if (!size || *size < (1U << 20))
            return wrong(
                fmt::format("--log-memory-max {}: a size from 1M is expected; write for example 8G.", log_memory_max_));
        settings.log_memory_max = *size;
        settings.log_memory_soft = std::min(settings.log_memory_soft, *size / 2);
    }
    const auto milliseconds = [](const char* option, const std::string& text,
                                 std::uint64_t least) -> tl::expected<std::uint32_t, Failure> {
        const auto time = parse_duration(text);
        if (!time) return wrong(fmt::format("{}: {}", option, time.error().sentence));
        if (*time / 1'000'000 < least || *time / 1'000'000 > 86'400'000)
            return wrong(fmt::format("{} {}: a time from {}ms to 86400s is expected; write for example 3s.", option,
                                     text, least));
        return static_cast<std::uint32_t>(*time / 1'000'000);
    };
    if (!heartbeat_timeout_.empty()) {
        const auto time = milliseconds("--heartbeat-timeout", heartbeat_timeout_, 100);
        if (!time) return tl::unexpected(time.error());
        // A hung member is found after heartbeat_misses_max looks; short timeouts need more looks a second.
        settings.heartbeat_period_ms = std::clamp(*time / 20, 10U, 1000U);
        settings.heartbeat_misses_max = std::max(2U, *time / settings.heartbeat_period_ms);
    }
    if (!start_timeout_.empty()) {
        const auto time = milliseconds("--start-timeout", start_timeout_, 1);
        if (!time) return tl::unexpected(time.error());
        settings.start_timeout_ms = *time;
    }
    return {};
}

RunCommand::Check RunCommand::check_output(RunOptions& options) const {
    if (progress_ == "auto")
        options.progress = ProgressMode::automatic;
    else if (progress_ == "always")
        options.progress = ProgressMode::always;
    else if (progress_ == "never")
        options.progress = ProgressMode::never;
    else if (progress_ == "jsonl")
        options.progress = ProgressMode::json_lines;
    else
        return wrong(fmt::format("--progress {}: auto, always, never or jsonl is expected.", progress_));
    options.quiet = quiet_;
    options.settings.quiet = quiet_;
    options.timeline = timeline_;
    if (auto checked = check_job_id(job_); !checked) return tl::unexpected(std::move(checked.error()));
    // The names of its nodes are longer.
    if (!options.places.empty() && job_.size() > 37)
        return wrong(fmt::format("--job '{}': with several nodes a name of at most 37 characters is expected.", job_));
    options.job_id = job_;
    return {};
}

}  // namespace phoenix::pflight
