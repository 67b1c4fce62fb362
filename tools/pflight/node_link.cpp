#include "pflight/node_link.hpp"

#include "base/clock.hpp"
#include "pflight/launcher.hpp"
#include "pflight/program.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>
#include <unistd.h>

namespace phoenix::pflight {

NodeLink::NodeLink(std::uint32_t node, std::string job_id, NodePlace place, Timeline timeline)
    : node_(node), job_id_(std::move(job_id)), place_(std::move(place)), timeline_(std::move(timeline)) {}

tl::expected<void, Failure> NodeLink::start(StartOrder order) {
    order.listen = place_.listen;
    order.relay = place_.remote();
    order.output = passed_on_descriptor;
    const auto line = line_of(order);
    if (!line) return tl::unexpected(line.error());
    checkpoint_directory_ = order.settings.checkpoint_directory;
    int down[2];
    int up[2];
    if (pipe2(down, O_CLOEXEC) != 0)
        return refusal(Errc::system, fmt::format("Cannot make a pipe: {}.", std::strerror(errno)));
    const FileDescriptor agents_input{down[0]};
    FileDescriptor to_agent{down[1]};
    if (pipe2(up, O_CLOEXEC) != 0)
        return refusal(Errc::system, fmt::format("Cannot make a pipe: {}.", std::strerror(errno)));
    FileDescriptor from_agent{up[0]};
    const FileDescriptor agents_output{up[1]};
    // Here and nowhere else an agent is started. Everything it must know goes through its stdin.
    ProgramCall call{own_program(), {"agent"}, {}};
    if (place_.remote()) {
        call.path = place_.agent_call.front();
        call.arguments.assign(place_.agent_call.begin() + 1, place_.agent_call.end());
    } else {
        call.passed_on = STDOUT_FILENO;
    }
    call.standard_input = agents_input.get();
    call.standard_output = agents_output.get();
    const auto pid = start_process(call);
    if (!pid) return tl::unexpected(pid.error());
    pid_ = *pid;
    agent_ = ProcessHandle{{pid_, start_time_of(pid_)}};
    agent_lives_ = true;
    channel_ = LineChannel{std::move(from_agent), std::move(to_agent)};
    channel_.send(*line);
    return {};
}

void NodeLink::send(const Order& order) {
    if (const auto line = line_of(order); line && agent_lives_) channel_.send(*line);
}

NodeNews NodeLink::look() {
    NodeNews news;
    if (gone_) return news;
    // Before its words are taken: what it has said last is then among them.
    const bool dead = agent_lives_ && agent_.dead();
    channel_.flush();
    while (const auto line = channel_.take_line()) {
        if (auto report = parse_report(*line))
            take(*report, news);
        else
            news.sentences.push_back(fmt::format("node {}: {}", node_, *line));  // what a remote shell says, say
    }
    if (dead) agent_ended(news);
    if (orphans_) look_at_orphans();
    if (!agent_lives_ && !orphans_) gone_ = true;
    return news;
}

void NodeLink::take(Report& report, NodeNews& news) {
    if (const auto* started = std::get_if<StartedReport>(&report)) {
        started_ = *started;
        if (place_.remote())
            clock_ahead_ns_ = boot_time_ns() - started->time_ns;
        else if (auto segment = ControlSegment::attach(job_id_))
            segment_ = std::move(*segment);
    } else if (const auto* process = std::get_if<ProcessReport>(&report)) {
        take_process(*process);
    } else if (const auto* port = std::get_if<PortReport>(&report)) {
        timeline_.know_port(port->slot);
        news.address_changed = news.address_changed || (port->address != 0 && port->address != address_);
        if (port->address != 0) address_ = port->address;
    } else if (auto* event = std::get_if<EventReport>(&report)) {
        event->event.time_ns += clock_ahead_ns_;
        if (event->event.kind == EventKind::port_started && event->event.extra != 0) ++port_restarts_;
        timeline_.take(event->event, event->fault);
    } else if (const auto* died = std::get_if<DiedReport>(&report)) {
        timeline_.process_ended(died->slot, died->time_ns + clock_ahead_ns_, died->how);
    } else if (auto* progress = std::get_if<ProgressReport>(&report)) {
        progress_ = std::move(progress->sample);
        progress_.time_ns += clock_ahead_ns_;
    } else if (auto* say = std::get_if<SayReport>(&report)) {
        news.sentences.push_back(std::move(say->sentence));
    } else if (auto* output = std::get_if<OutputReport>(&report)) {
        news.output += output->bytes;
    } else if (auto* over = std::get_if<OverReport>(&report)) {
        over_ = std::move(over->nodes);
    } else if (auto* ended = std::get_if<EndedReport>(&report)) {
        if (!ending_) ending_ = std::move(ended->verdict);
    }
}

void NodeLink::take_process(const ProcessReport& process) {
    // Numbers of processes of another machine mean nothing here.
    const ProcessIdentity identity{process.pid, place_.remote() ? 0 : start_time_of(process.pid)};
    if (!place_.remote()) (process.purpose == ProcessPurpose::port ? ports_ : members_).push_back(identity);
    if (process.purpose == ProcessPurpose::joiner) timeline_.grown(process.time_ns + clock_ahead_ns_, process.pid);
    if (process.purpose == ProcessPurpose::replacement)
        timeline_.respawned(process.time_ns + clock_ahead_ns_, process.pid);
}

void NodeLink::agent_ended(NodeNews& news) {
    agent_lives_ = false;
    int status = 0;
    const bool known = waitpid(pid_, &status, WNOHANG) == pid_;
    const bool exited = known && WIFEXITED(status);
    if (exited && ending_) return;
    const std::string how =
        exited ? fmt::format("exit status {}", WEXITSTATUS(status)) : signal_name(known ? WTERMSIG(status) : SIGKILL);
    if (place_.remote()) {
        remote_agent_ended(how, news);
    } else if (segment_) {
        orphans_ = std::make_unique<OrphanedNode>(std::move(*segment_), node_, members_, ports_);
        if (ordered_end_) {
            orphans_->end(*ordered_end_);
        } else if (!ending_) {
            news.sentences.push_back(fmt::format("The agent of node {} died ({}); its members go on.", node_, how));
        }
        if (finish_) orphans_->finish();
    } else if (!ending_) {
        ending_ = Verdict{Outcome::failed, Errc::system,
                          fmt::format("The agent of node {} died ({}) before the node was ready.", node_, how), 1};
    }
}

// The remote shell has ended, so the agent, its machine or the way to it has. What runs there goes on by itself if it
// can, and tells the ports of the others.
void NodeLink::remote_agent_ended(const std::string& how, NodeNews& news) {
    if (ending_) return;
    if (!started_) {
        ending_ = Verdict{Outcome::failed, Errc::system,
                          fmt::format("No agent could be started on host '{}' (its remote shell ended with {}); its "
                                      "messages are above, try: {}",
                                      place_.host, how, fmt::join(place_.agent_call, " ")),
                          1};
        return;
    }
    if (address_ == 0) {
        ending_ =
            Verdict{Outcome::failed, Errc::system,
                    fmt::format("The way to the agent of node {} on host '{}' was lost ({}) before others knew how "
                                "to reach the node; run the job again.",
                                node_, place_.host, how),
                    1};
        return;
    }
    lost_ = true;
    ending_ = Verdict{
        Outcome::failed, Errc::member_lost,
        fmt::format("The agents of all nodes were lost; whether the work was completed is not known here."), 1, true};
    if (!ordered_end_)
        news.sentences.push_back(
            fmt::format("The way to the agent of node {} on host '{}' is gone ({}); the node goes "
                        "on if its machine lives, what its members print from now on is lost.",
                        node_, place_.host, how));
}

void NodeLink::look_at_orphans() {
    std::optional<LastCheckpoint> checkpoint;
    if (const auto step = timeline_.last_checkpoint()) checkpoint = {*step, checkpoint_directory_};
    const auto verdict = orphans_->look(checkpoint);
    progress_.members = orphans_->living();
    if (verdict && !ending_) ending_ = *verdict;
    if (orphans_->gone()) orphans_.reset();
}

void NodeLink::end(const EndOrder& order) {
    ordered_end_ = order;
    agent_.signal(SIGCONT);  // a stopped one hears nothing
    send(order);
    if (orphans_) orphans_->end(order);
}

void NodeLink::finish() {
    if (finish_) return;
    finish_ = true;
    send(FinishOrder{});
    if (orphans_) orphans_->finish();
}

}  // namespace phoenix::pflight
