#include "pflight/job_launcher.hpp"

#include "base/clock.hpp"
#include "control/agent.hpp"
#include "control/attachment.hpp"
#include "pflight/launcher.hpp"
#include "pflight/program.hpp"
#include "pflight/supervisor.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <filesystem>
#include <fmt/format.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace phoenix::pflight {

namespace {

constexpr int nodes_look_ms = 50;
constexpr std::size_t unprinted_max = std::size_t{1} << 20U;  // bytes of members' output
// From the order to end to killing the agents: longer than an agent takes that ends its members politely.
constexpr std::uint64_t agents_patience_ns = 20'000'000'000;
constexpr std::uint64_t agents_hurry_ns = 5'000'000'000;
constexpr std::uint64_t give_up_ns = 60'000'000'000;  // from the order to end to leaving what does not die

tl::expected<std::array<std::uint8_t, 32>, Failure> draw_secret() {
    std::array<std::uint8_t, 32> secret{};
    if (getrandom(secret.data(), secret.size(), 0) != static_cast<ssize_t>(secret.size()))
        return refusal(Errc::system, "Cannot draw a job secret: the kernel gives no random numbers.");
    return secret;
}

ProgressSample nobody_yet(std::uint32_t members) {
    ProgressSample sample;
    sample.time_ns = boot_time_ns();
    sample.members = members;
    return sample;
}

}  // namespace

JobLauncher::JobLauncher(const RunOptions& options)
    : options_(options),
      job_id_(options.job_id.empty() ? draw_job_id() : options.job_id),
      display_(options, nobody_yet(options.members)),
      signals_(signalfd_of_supervision()) {}

int JobLauncher::run() {
    std::signal(SIGPIPE, SIG_IGN);  // whoever reads what members print may go
    if (const auto started = start_nodes(); !started) {
        failure_ = Verdict{Outcome::failed, started.error().code, started.error().sentence, 1};
    }
    while (!all_gone()) {
        wait_for_news();
        take_signals();
        look_at_nodes();
        look_at_mpi_ports();
        if (!judge()) break;
        show_progress();
    }
    return conclude();
}

tl::expected<void, Failure> JobLauncher::start_nodes() {
    const auto secret = draw_secret();
    if (!secret) return tl::unexpected(secret.error());
    StartOrder order;
    order.job_id = job_id_;
    order.nodes = options_.nodes;
    order.secret = *secret;
    order.program = options_.program;
    order.arguments = options_.arguments;
    std::error_code error;
    order.directory = std::filesystem::current_path(error).string();
    order.settings = options_.settings;
    order.respawn = options_.respawn;
    order.awaits_port = options_.mpi_between;
    secret_ = secret_text(*secret);
    order.environment = options_.exported;
    const std::uint64_t now = boot_time_ns();
    for (std::uint32_t node = 0; node < options_.nodes; ++node) {
        const auto print = [this](const std::string& line) {
            if (options_.timeline) display_.line(line);
        };
        order.node = node;
        order.members = options_.shares[node];
        order.faults = options_.node_faults.empty() ? options_.faults : options_.node_faults[node];
        auto link = std::make_unique<NodeLink>(node, fmt::format("{}.{}", job_id_, node), options_.places[node],
                                               Timeline{now, print, node});
        link->progress().members = options_.shares[node];
        if (auto started = link->start(order); !started) return started;
        nodes_.push_back(std::move(link));
    }
    return {};
}

bool JobLauncher::all_gone() const noexcept {
    return std::all_of(nodes_.begin(), nodes_.end(), [](const auto& node) { return node->gone(); });
}

bool JobLauncher::all_ended() const noexcept {
    return std::all_of(nodes_.begin(), nodes_.end(), [](const auto& node) { return node->ending().has_value(); });
}

void JobLauncher::wait_for_news() {
    std::vector<pollfd> waits{{signals_.get(), POLLIN, 0}};
    for (const auto& node : nodes_) {
        if (node->words() >= 0) waits.push_back({node->words(), POLLIN, 0});
        if (node->life() >= 0) waits.push_back({node->life(), POLLIN, 0});
    }
    if (!unprinted_.empty()) waits.push_back({STDOUT_FILENO, POLLOUT, 0});
    poll(waits.data(), waits.size(), nodes_look_ms);
}

void JobLauncher::take_signals() {
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
        if (interrupting_signal_ == 0) interrupting_signal_ = static_cast<int>(info.ssi_signo);
        ++interruptions_;
    }
}

void JobLauncher::look_at_nodes() {
    bool addresses = false;
    print_some();
    // Nobody reads: agents are not read either, and in the end members wait, as at any full pipe.
    if (unprinted_.size() > unprinted_max && interrupting_signal_ == 0) return;
    for (const auto& node : nodes_) {
        const NodeNews news = node->look();
        addresses = addresses || news.address_changed;
        unprinted_ += news.output;
        if (!options_.quiet)
            for (const std::string& sentence : news.sentences) say(sentence);
        const auto& ending = node->ending();
        if (ending && ending->exit_status != 0 && !ending->deserted && !failure_) failure_ = *ending;
        say_if_deserted(*node);
    }
    if (addresses) spread_addresses();
}

// A node without members is no failure while others have some.
void JobLauncher::say_if_deserted(const NodeLink& node) {
    const auto& ending = node.ending();
    if (!ending || !ending->deserted || node.lost() || !deserted_.insert(node.node()).second || options_.quiet ||
        failure_)
        return;
    if (deserted_.size() < nodes_.size())
        say(fmt::format("Node {} has no members any more; its VNodes go on elsewhere.", node.node()));
}

// A piece at a time is taken without waiting by whatever poll() calls writable. Whoever reads it may be gone; the job
// goes on without.
void JobLauncher::print_some() {
    std::size_t done = 0;
    pollfd wait{STDOUT_FILENO, POLLOUT, 0};
    while (done < unprinted_.size() && poll(&wait, 1, 0) > 0) {
        const ssize_t size =
            write(STDOUT_FILENO, unprinted_.data() + done, std::min<std::size_t>(unprinted_.size() - done, PIPE_BUF));
        if (size > 0)
            done += static_cast<std::size_t>(size);
        else if (errno != EINTR && errno != EAGAIN)
            done = unprinted_.size();
    }
    unprinted_.erase(0, done);
}

void JobLauncher::print_rest() {
    while (!unprinted_.empty() && interruptions_ == 0) {
        wait_for_news();
        take_signals();
        print_some();
    }
}

// How a node has ended whose agent is gone is known by the ports of the others, if at all.
void JobLauncher::judge_lost_nodes() {
    for (const auto& lost : nodes_) {
        const bool completed = std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
            return std::find(node->over().begin(), node->over().end(), lost->node()) != node->over().end();
        });
        if (!lost->lost() || completed || failure_) continue;
        failure_ = Verdict{Outcome::failed, Errc::member_lost,
                           fmt::format("Node {} was lost before it had said that its work is completed; run the job "
                                       "again.",
                                       lost->node()),
                           1};
    }
}

void JobLauncher::spread_addresses() {
    AddressesOrder order;
    for (const auto& node : nodes_) order.of_nodes.push_back(node->address());
    for (const auto& node : nodes_) node->send(order);
}

void JobLauncher::look_at_mpi_ports() {
    if (!options_.mpi_between || failure_) return;
    const auto fall_back = [this](const std::string& why) {
        if (!options_.quiet)
            say(fmt::format("MPI does not carry payloads between nodes ({}); TCP carries them all.", why));
        for (const auto& node : nodes_) node->send(OwnPortOrder{});
    };
    if (mpi_ports_) {
        const auto ended = mpi_ports_->ended();
        if (ended && !all_ended()) fall_back("mpirun ended with " + *ended);
        return;
    }
    PortWorld world;
    world.mpirun = path_of_command("mpirun");
    world.remote_shell = options_.remote_shell;
    world.job_id = job_id_;
    world.secret = secret_;
    world.carry_from = options_.carry_from;
    world.exported = options_.exported;
    for (const auto& node : nodes_) {
        if (!node->started()) return;
        world.seats.push_back({node->place().host, node->started()->agent, node->started()->listen});
    }
    mpi_ports_.emplace();
    if (const auto started = mpi_ports_->start(world); !started) fall_back(started.error().sentence);
}

void JobLauncher::order_end(const EndOrder& order) {
    if (end_ && end_->hurry == order.hurry) return;
    if (!end_) end_ns_ = boot_time_ns();
    end_ = order;
    for (const auto& node : nodes_) node->end(order);
}

bool JobLauncher::judge() {
    const auto completed = [](const auto& node) { return node->ending() && !node->ending()->deserted; };
    if (!failure_ && all_ended() && std::none_of(nodes_.begin(), nodes_.end(), completed))
        failure_ = nodes_.back()->ending();
    if (interrupting_signal_ != 0 && !failure_ && !all_ended())
        failure_ = Verdict{Outcome::interrupted, Errc::interrupted, interruption_sentence(interrupting_signal_), 1};
    if (failure_)
        order_end({failure_->outcome == Outcome::completed ? Outcome::failed : failure_->outcome, failure_->code,
                   failure_->sentence, interruptions_ > 1});
    // A lost node may still need the ports of the others; these end by themselves when it does not.
    const bool lost = std::any_of(nodes_.begin(), nodes_.end(), [](const auto& node) { return node->lost(); });
    if (all_ended() && (!lost || failure_))
        for (const auto& node : nodes_) node->finish();
    // A second Ctrl-C waits for no port either.
    if (interruptions_ > 1 && end_ && !end_->hurry) order_end({end_->outcome, end_->code, end_->sentence, true});
    if (!end_) return true;
    const std::uint64_t now = boot_time_ns();
    if (now > end_ns_ + (end_->hurry ? agents_hurry_ns : agents_patience_ns))
        for (const auto& node : nodes_) node->kill_agent();
    if (now <= end_ns_ + give_up_ns) return true;
    say("Some processes do not die even by SIGKILL (they wait for a device); see 'ps -o pid,stat,cmd'.");
    return false;
}

void JobLauncher::show_progress() {
    if (!display_.due()) return;
    std::vector<ProgressSample> samples;
    for (const auto& node : nodes_) samples.push_back(node->progress());
    ProgressSample job = merged(samples);
    job.time_ns = boot_time_ns();
    display_.show(job);
}

int JobLauncher::conclude() {
    print_rest();
    judge_lost_nodes();
    std::vector<Recovery> recoveries;
    std::uint32_t ports = 0;
    for (const auto& node : nodes_) {
        const auto& of_node = node->timeline().recoveries();
        recoveries.insert(recoveries.end(), of_node.begin(), of_node.end());
        ports += node->port_restarts();
    }
    if (!failure_) {
        std::string summary = summary_of(recoveries);
        if (ports != 0)
            summary +=
                fmt::format("{}{} port{} started anew", summary.empty() ? "" : "; ", ports, ports == 1 ? "" : "s");
        if (!summary.empty() && !options_.quiet) say(summary + ".");
        return 0;
    }
    if (!failure_->sentence.empty()) say(failure_->sentence);
    return interrupting_signal_ != 0 ? 128 + interrupting_signal_ : failure_->exit_status;
}

}  // namespace phoenix::pflight
