#include "pflight/supervisor.hpp"

#include "base/clock.hpp"
#include "memory/occupancy.hpp"
#include "pflight/launcher.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace phoenix::pflight {

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr int look_period_ms = 50;
constexpr int port_look_period_ms = 20;                     // while other nodes wait for the address of our port
constexpr std::uint64_t polite_end_ns = 2 * second_ns;      // from SIGTERM to SIGKILL
constexpr std::uint64_t kill_wait_ns = 10 * second_ns;      // from SIGKILL to giving up on a process
constexpr std::uint64_t failure_grace_ns = 10 * second_ns;  // for members to end after the job failed
constexpr std::uint64_t port_finish_ns = second_ns;         // for the port to end after all members of all nodes
constexpr std::uint64_t mpirun_grace_ns = 3 * second_ns;    // for mpirun to end after its ranks
constexpr std::uint64_t ranks_settled_ns = 2 * second_ns;   // mpirun forks its ranks at once
constexpr std::uint32_t replacement_count_max = 1000;       // a program that always dies must not be started for ever

sigset_t supervised_signals() noexcept {
    sigset_t set{};
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    struct sigaction action {};
    // Started with nohup, we go on when the terminal closes.
    if (sigaction(SIGHUP, nullptr, &action) != 0 || action.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP);
    return set;
}

std::string how_it_ended(const MemberProcess& process) {
    const auto signal = process.ending_signal();
    return signal ? signal_name(*signal) : fmt::format("exit status {}", process.exit_status().value_or(0));
}

}  // namespace

void block_supervised_signals() noexcept {
    const sigset_t set = supervised_signals();
    sigprocmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);  // whoever reads our messages may go; the job does not end for that
}

FileDescriptor signalfd_of_supervision() noexcept {
    const sigset_t set = supervised_signals();
    return FileDescriptor{signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
}

std::string interruption_sentence(int number) {
    const char* how = number == SIGINT ? "Ctrl-C" : number == SIGHUP ? "SIGHUP" : "SIGTERM";
    return fmt::format("Interrupted by {}; all members were ended.", how);
}

Supervisor::Supervisor(const RunOptions& options, Agent& agent, Audience& audience)
    : options_(options),
      agent_(agent),
      segment_(agent.segment()),
      audience_(audience),
      processes_(segment_),
      events_(segment_),
      signals_(signalfd_of_supervision()),
      resumed_(options.faults.size(), false) {
    if (options.nodes > 1)
        port_.emplace(agent, audience, options.member_output, options.port_listens_at, options.awaits_port);
}

int Supervisor::run() {
    if (auto started = start_members(); !started) {
        segment_.decide_outcome(Outcome::failed, started.error().code, started.error().sentence);
        end_all();
    } else {
        watch();
    }
    const int status = conclude();
    concluded_ = true;
    see_port_off();
    return status;
}

void Supervisor::watch() {
    while (!finished()) {
        wait_for_news();
        take_signals();
        if (told_to_end()) return end_all();
        take_events();
        take_endings();
        grow();
        resume_stopped();
        end_forgotten();
        end_after_failure();
        if (options_.mode == LaunchMode::mpi) end_idle_mpirun();
        audience_.look(static_cast<std::uint32_t>(processes_.living()));
    }
}

tl::expected<pid_t, Failure> Supervisor::start_member(bool grown) {
    ProgramCall call{options_.program, options_.arguments, agent_.environment()};
    call.standard_output = options_.member_output;
    call.outlives_readers = options_.output_relayed;
    auto pid = start_process(call);
    if (pid) processes_.add(*pid, true, grown);
    return pid;
}

// Members asked for while the job runs: by `pflight join`, by the application, by the fault plan.
void Supervisor::grow() {
    ControlHeader& header = segment_.header();
    while (header.grow_started.load(std::memory_order_relaxed) != header.grow_wanted.load(std::memory_order_acquire)) {
        const bool too_late = someone_left_ || takes_nobody() || segment_.outcome() != Outcome::running;
        const auto pid = too_late ? tl::expected<pid_t, Failure>{0} : start_member(true);
        if (!pid) audience_.say(pid.error().sentence);
        if (too_late || !pid) header.grow_failed.fetch_add(1, std::memory_order_acq_rel);
        header.grow_started.fetch_add(1, std::memory_order_acq_rel);
        if (pid && *pid != 0) audience_.process_started(*pid, ProcessPurpose::joiner);
    }
}

// All members of this node have ended, or its port has said that there will be none.
bool Supervisor::takes_nobody() const noexcept { return concluded_ || is_over(segment_); }

tl::expected<void, Failure> Supervisor::start_members() {
    if (options_.mode == LaunchMode::mpi) {
        auto pid = start_mpirun(
            {options_.mpirun, options_.members, {options_.program, options_.arguments, agent_.environment()}});
        if (!pid) return tl::unexpected(std::move(pid.error()));
        mpirun_pid_ = *pid;
        mpirun_ = ProcessHandle{{*pid, start_time_of(*pid)}};
        return {};
    }
    // The port first: members may have something for other nodes at once.
    if (port_) {
        if (auto started = port_->start(); !started) return started;
    }
    for (std::uint32_t count = 0; count < options_.members; ++count) {
        auto pid = start_member();
        if (!pid) return tl::unexpected(std::move(pid.error()));
        audience_.process_started(*pid, ProcessPurpose::member);
    }
    return {};
}

void Supervisor::wait_for_news() {
    std::vector<pollfd> waits{{signals_.get(), POLLIN, 0}};
    for (const MemberProcess& process : processes_.all())
        if (!process.ended && process.handle.valid()) waits.push_back({process.handle.descriptor(), POLLIN, 0});
    if (mpirun_.valid() && !mpirun_ended_) waits.push_back({mpirun_.descriptor(), POLLIN, 0});
    for (const int descriptor : audience_.descriptors()) waits.push_back({descriptor, POLLIN, 0});
    if (port_ && port_->descriptor() >= 0) waits.push_back({port_->descriptor(), POLLIN, 0});
    poll(waits.data(), waits.size(), port_ && !port_->listens() ? port_look_period_ms : look_period_ms);
}

void Supervisor::take_signals() {
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
        if (interrupting_signal_ == 0) interrupting_signal_ = static_cast<int>(info.ssi_signo);
        ++interruptions_;
    }
}

// By a signal, by whoever gives orders, or because the node cannot go on.
bool Supervisor::told_to_end() {
    Orders news = audience_.take_orders();
    orders_.finish = orders_.finish || news.finish;
    if (news.end) orders_.end = std::move(news.end);
    if (port_ && news.own_port) port_->do_not_wait();
    if (port_) {
        // Other nodes may need it for longer than our own members.
        const bool goes_well = segment_.outcome() == Outcome::running || segment_.outcome() == Outcome::completed;
        const bool needed = goes_well && !orders_.finish && !orders_.end && interrupting_signal_ == 0;
        if (auto trouble = port_->look(needed)) orders_.end = std::move(trouble);
    }
    return interrupting_signal_ != 0 || orders_.end;
}

void Supervisor::take_events() {
    while (const auto event = events_.next()) audience_.happened(*event);
}

void Supervisor::take_endings() {
    if (options_.mode == LaunchMode::mpi) {
        reap_mpirun();
        find_ranks();
    }
    processes_.look();
    for (const std::size_t index : processes_.collect_ended()) {
        const MemberProcess& process = processes_.all()[index];
        if (!process.attached() && process.grown) {
            segment_.header().grow_failed.fetch_add(1, std::memory_order_acq_rel);
        } else if (!process.attached()) {
            // Nobody is to wait for it at the start.
            segment_.header().expected_members.fetch_sub(1, std::memory_order_acq_rel);
        } else if (process.left_in_order) {
            someone_left_ = someone_left_ || !process.drained;
        } else {
            take_events();  // what led to it is told first
            audience_.process_ended(*process.slot, process.ended_ns, how_it_ended(process));
            if (options_.respawn) replace(process);
        }
    }
}

void Supervisor::replace(const MemberProcess& dead) {
    const bool exited = dead.exit_status().has_value();
    if (exited || someone_left_ || segment_.outcome() != Outcome::running || replacements_ >= replacement_count_max)
        return;
    ++replacements_;
    if (const auto pid = start_member())
        audience_.process_started(*pid, ProcessPurpose::replacement);
    else
        audience_.say(pid.error().sentence);
}

void Supervisor::find_ranks() {
    const std::size_t wanted = options_.members;
    const auto ranks = [this] {
        const auto& all = processes_.all();
        return static_cast<std::size_t>(
            std::count_if(all.begin(), all.end(), [](const MemberProcess& process) { return !process.grown; }));
    };
    if (mpirun_ended_ || ranks() >= wanted || missing_ranks_counted_) return;
    for (const pid_t pid : children_of(mpirun_pid_)) {
        // Between fork and exec it is still mpirun.
        const std::string name_space = environment_of(pid, "PMIX_NAMESPACE");
        if (name_space.empty() || environment_of(pid, "PHOENIX_JOB").empty()) continue;
        if (mpi_namespace_.empty()) mpi_namespace_ = name_space;
        const std::size_t before = ranks();
        processes_.add(pid, false);
        if (ranks() > before) ranks_seen_ns_ = boot_time_ns();
    }
    if (ranks_seen_ns_ == 0 || boot_time_ns() < ranks_seen_ns_ + ranks_settled_ns) return;
    // The others died before they could be seen.
    missing_ranks_counted_ = true;
    segment_.header().expected_members.fetch_sub(static_cast<std::uint32_t>(wanted - ranks()),
                                                 std::memory_order_acq_rel);
}

void Supervisor::reap_mpirun() {
    if (!mpirun_ended_ && waitpid(mpirun_pid_, &mpirun_status_, WNOHANG) == mpirun_pid_) mpirun_ended_ = true;
}

// After a death mpirun does not always notice that all its ranks are gone.
void Supervisor::end_idle_mpirun() {
    const bool idle = !mpirun_ended_ && !processes_.all().empty() && processes_.living() == 0;
    if (!idle) {
        mpirun_idle_since_ns_ = 0;
        return;
    }
    const std::uint64_t now = boot_time_ns();
    if (mpirun_idle_since_ns_ == 0) mpirun_idle_since_ns_ = now;
    if (now > mpirun_idle_since_ns_ + 2 * mpirun_grace_ns)
        mpirun_.signal(SIGKILL);
    else if (now > mpirun_idle_since_ns_ + mpirun_grace_ns)
        mpirun_.signal(SIGTERM);
}

void Supervisor::resume_stopped() {
    const std::uint64_t now = boot_time_ns();
    for (std::size_t index = 0; index < resumed_.size(); ++index) {
        const FaultEntry& fault = segment_.faults()[index];
        const std::uint32_t fired = fault.fired.load(std::memory_order_acquire);
        const std::uint64_t since = fault.fired_at_ns.load(std::memory_order_acquire);
        if (resumed_[index] || fault.resume_after_ns == 0 || fired == 0 || since == 0 ||
            now < since + fault.resume_after_ns)
            continue;
        const auto& all = processes_.all();
        const auto process = std::find_if(all.begin(), all.end(), [&](const MemberProcess& candidate) {
            return !candidate.ended && candidate.slot == fired - 1;
        });
        // It marks the fault before it stops itself: a SIGCONT that comes first would be lost.
        if (process != all.end() && process_state(process->identity.pid) != 'T') {
            if (now < since + fault.resume_after_ns + second_ns) continue;
        } else if (process != all.end()) {
            process->handle.signal(SIGCONT);
        }
        resumed_[index] = true;
    }
}

// A member that is stopped when the others have left has nobody who would notice.
void Supervisor::end_forgotten() {
    if (!someone_left_) return;
    const Settings& settings = options_.settings;
    const std::uint64_t patience =
        std::uint64_t{settings.heartbeat_period_ms} * settings.heartbeat_misses_max * 1'000'000;
    const std::uint64_t now = boot_time_ns();
    for (std::size_t index = 0; index < processes_.all().size(); ++index) {
        const MemberProcess& process = processes_.all()[index];
        if (process.ended || process_state(process.identity.pid) != 'T' || is_traced(process.identity.pid)) {
            stopped_since_.erase(index);
            continue;
        }
        const auto [since, fresh] = stopped_since_.try_emplace(index, now);
        if (!fresh && now > since->second + patience) process.handle.signal(SIGKILL);
    }
}

void Supervisor::end_after_failure() {
    if (segment_.outcome() != Outcome::failed) return;
    const std::uint64_t now = boot_time_ns();
    if (failed_since_ns_ == 0) failed_since_ns_ = now;
    if (now > failed_since_ns_ + failure_grace_ns) processes_.signal_all(SIGKILL);
}

bool Supervisor::finished() const {
    if (options_.mode == LaunchMode::mpi) return mpirun_ended_ && processes_.living() == 0;
    return processes_.living() == 0;
}

void Supervisor::end_all() {
    if (interrupting_signal_ != 0) {
        segment_.decide_outcome(Outcome::interrupted, Errc::interrupted, interruption_sentence(interrupting_signal_));
    } else if (orders_.end) {
        segment_.decide_outcome(orders_.end->outcome, orders_.end->code, orders_.end->sentence);
    }
    const auto signal_everybody = [&](int number) {
        processes_.signal_all(number);
        if (number == SIGTERM) processes_.signal_all(SIGCONT);  // a stopped one takes SIGTERM only then
        if (!mpirun_ended_) mpirun_.signal(number);
    };
    take_endings();
    signal_everybody(SIGTERM);
    const std::uint64_t start = boot_time_ns();
    const std::uint32_t interruptions = interruptions_;
    bool killed = false;
    while (!finished() || (mpirun_.valid() && !mpirun_ended_)) {
        wait_for_news();
        take_signals();
        (void)told_to_end();  // whoever ordered it may lose patience
        take_endings();
        const std::uint64_t now = boot_time_ns();
        const bool hurry = interruptions_ > interruptions || (orders_.end && orders_.end->hurry);
        // A second Ctrl-C does not wait.
        if (now > start + polite_end_ns || hurry) {
            signal_everybody(SIGKILL);
            killed = true;
        }
        if (killed && now > start + polite_end_ns + kill_wait_ns) {
            audience_.say(
                "Some processes do not die even by SIGKILL (they wait for a device); see 'ps -o pid,stat,cmd'.");
            return;
        }
    }
}

int Supervisor::conclude() {
    processes_.look();
    processes_.collect_ended();
    take_events();
    remove_open_mpi_segments(mpi_namespace_);
    std::optional<LastCheckpoint> checkpoint;
    if (const auto step = audience_.last_checkpoint()) checkpoint = {*step, options_.settings.checkpoint_directory};
    const Verdict verdict = verdict_of(processes_.all(), checkpoint, options_.node);
    Verdict told{Outcome::failed, verdict.code, {}, 1};
    if (verdict.deserted && segment_.outcome() == Outcome::running) {
        // Its VNodes go on elsewhere, by the port; whether all nodes are so is for the launcher to know.
        audience_.members_ended(verdict);
        return verdict.exit_status;
    }
    if (segment_.outcome() == Outcome::running) {
        segment_.decide_outcome(verdict.outcome, verdict.code, verdict.sentence);
        told.exit_status = verdict.exit_status;
    } else if (segment_.outcome() == Outcome::completed) {
        told.exit_status = verdict.outcome == Outcome::completed ? 0 : verdict.exit_status;
    } else {
        told.code = static_cast<Errc>(segment_.header().outcome_code);
    }
    if (told.exit_status == 0) told.outcome = Outcome::completed;
    if (segment_.outcome() == Outcome::interrupted) told.outcome = Outcome::interrupted;
    if (told.exit_status != 0 && segment_.header().outcome_shown.exchange(1) == 0) {
        switch (segment_.outcome()) {
            case Outcome::deciding:
                told.sentence = "The job failed, and the member that was to say why died on the way.";
                break;
            case Outcome::completed: told.sentence = verdict.sentence; break;
            default: told.sentence = segment_.outcome_text(); break;
        }
    }
    if (interrupting_signal_ != 0 && told.exit_status != 0) told.exit_status = 128 + interrupting_signal_;
    audience_.members_ended(told);
    return told.exit_status;
}

// The port ends by itself when no node needs it any more. That is not for us to judge, but whether it is alive is.
void Supervisor::see_port_off() {
    if (!port_) return;
    std::uint64_t asked_ns = 0;
    std::uint64_t finish_ns = 0;
    while (port_->living()) {
        wait_for_news();
        take_signals();
        const bool ended = told_to_end();
        grow();  // whoever waits for joiners hears that none will come
        audience_.look(0);
        const std::uint64_t now = boot_time_ns();
        if (orders_.finish && finish_ns == 0) finish_ns = now;
        const bool too_long = finish_ns != 0 && now > finish_ns + port_finish_ns;
        if ((ended || too_long) && asked_ns == 0) {
            asked_ns = now;
            port_->signal(SIGTERM);
            port_->signal(SIGCONT);
        }
        const bool impatient = interruptions_ > 1 || (orders_.end && orders_.end->hurry);
        if ((asked_ns != 0 && (impatient || now > asked_ns + polite_end_ns)) || port_->hangs(options_.settings))
            port_->signal(SIGKILL);
        if (asked_ns != 0 && now > asked_ns + polite_end_ns + kill_wait_ns) return;
    }
}

}  // namespace phoenix::pflight
