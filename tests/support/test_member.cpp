/// A member without a runtime, for tests of the launcher: it does what its arguments say, one after the other.
///
///   attach        attach to the job and claim a slot          say=TEXT   print TEXT with {node}, {slot}, {pid} filled
///   in barrier       wait until all expected members attached    await=FILE wait until FILE exists leave         leave
///   in good order                         exit=N     exit with status N signal=NAME   send itself KILL, SEGV, TERM,
///   ...           fail=TEXT  decide that the job failed fault=I       fire entry I of the fault plan on itself
///   checkpoint=STEP  record that a checkpoint was written
///
/// `K:action` is done by the member in slot K only, `!K:action` by all others; `N.K:action` by that of node N only,
/// `N.:action` by all of node N.

#include "base/clock.hpp"
#include "control/attachment.hpp"
#include "memory/event_ring.hpp"
#include "memory/member_table.hpp"

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <unistd.h>

namespace {

using namespace phoenix;

JobAccess job;
std::uint32_t own_slot = member_count_max;

// Between two looks at the shared words it waits for; each look decides, not the time.
void pause_briefly() { usleep(2000); }

void register_here() {
    // A dead member's slot is freed without more ado: there is no state here that could be lost.
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        MemberRecord& record = job.segment->member(slot);
        const MemberIdentity who = identity_of(record);
        if (who.presence != Presence::present || who.alive()) continue;
        std::uint64_t dead = Standing::make(who.presence, who.process.pid, who.incarnation).bits;
        record.standing.compare_exchange_strong(dead,
                                                Standing::make(Presence::empty, who.process.pid, who.incarnation).bits);
    }
    const auto claimed = claim_slot(*job.segment);
    if (!claimed) std::abort();
    own_slot = claimed->slot;
    announce(job.segment->member(own_slot), Presence::present);
    record_event(*job.segment, EventKind::member_joined, own_slot, static_cast<std::uint64_t>(getpid()));
}

void attach() {
    auto access = attach_or_found();
    if (!access) {
        std::fprintf(stderr, "%s\n", access.error().sentence.c_str());
        _exit(70);
    }
    job = std::move(*access);
    register_here();
}

void wait_for_all() {
    for (;;) {
        std::uint32_t attached = 0;
        for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
            const MemberIdentity who = identity_of(job.segment->member(slot));
            attached += who.attached() && who.role != MemberRole::port ? 1 : 0;
        }
        if (attached >= job.segment->header().expected_members.load()) return;
        pause_briefly();
    }
}

bool others_alive() {
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberIdentity who = identity_of(job.segment->member(slot));
        if (slot != own_slot && who.presence == Presence::present && who.alive()) return true;
    }
    return false;
}

void leave() {
    announce(job.segment->member(own_slot), Presence::leaving);
    const ControlHeader& header = job.segment->header();
    const auto agent = static_cast<pid_t>(header.agent_pid.load());
    if (!others_alive() && !is_alive({agent, header.agent_start_time})) ControlSegment::remove(job.segment->job_id());
}

[[noreturn]] void leave_with(int status) {
    if (own_slot < member_count_max)
        job.segment->member(own_slot).exit_state.store(0x100U | static_cast<std::uint32_t>(status));
    std::fflush(nullptr);
    _exit(status);
}

int number_in(std::string_view text) {
    int value = -1;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

int signal_number(std::string_view name) {
    for (int number = 1; number < 32; ++number)
        if (const char* known = sigabbrev_np(number); known != nullptr && name == known) return number;
    std::abort();
}

void fire_fault(int index) {
    FaultEntry& fault = job.segment->faults()[static_cast<std::size_t>(index)];
    fault.fired.store(own_slot + 1);
    fault.fired_at_ns.store(boot_time_ns());
    record_event(*job.segment, EventKind::fault_fired, own_slot, static_cast<std::uint64_t>(index));
    if (fault.kind == static_cast<std::uint32_t>(FaultKind::kill_port)) return;  // not on itself
    raise(fault.kind == static_cast<std::uint32_t>(FaultKind::stop) ? SIGSTOP : SIGKILL);
}

void say(std::string text) {
    const auto fill = [&](std::string_view mark, const std::string& value) {
        if (const std::size_t at = text.find(mark); at != std::string::npos) text.replace(at, mark.size(), value);
    };
    if (job.segment) fill("{node}", std::to_string(job.segment->header().node_id));
    fill("{slot}", std::to_string(own_slot));
    fill("{pid}", std::to_string(getpid()));
    std::printf("%s\n", text.c_str());
    std::fflush(stdout);
}

bool is_meant(std::string_view name) {
    if (const std::size_t point = name.find('.'); point != std::string_view::npos) {
        if (static_cast<std::uint32_t>(number_in(name)) != job.segment->header().node_id) return false;
        name.remove_prefix(point + 1);
        if (name.empty()) return true;
    }
    return static_cast<std::uint32_t>(number_in(name)) == own_slot;
}

void act(std::string_view word) {
    if (const std::size_t colon = word.find(':'); colon != std::string_view::npos && colon <= 4) {
        const bool others = word.front() == '!';
        if (is_meant(word.substr(others ? 1 : 0, colon - (others ? 1 : 0))) == others) return;
        word.remove_prefix(colon + 1);
    }
    const std::size_t mark = word.find('=');
    const std::string_view action = word.substr(0, mark);
    const std::string value{mark == std::string_view::npos ? std::string_view{} : word.substr(mark + 1)};
    if (action == "attach")
        attach();
    else if (action == "barrier")
        wait_for_all();
    else if (action == "leave")
        leave();
    else if (action == "exit")
        leave_with(number_in(value));
    else if (action == "signal")
        raise(signal_number(value));
    else if (action == "fail")
        job.segment->decide_outcome(Outcome::failed, Errc::step_failed, value);
    else if (action == "fault")
        fire_fault(number_in(value));
    else if (action == "checkpoint")
        record_event(*job.segment, EventKind::checkpoint_written, 0, static_cast<std::uint64_t>(number_in(value)));
    else if (action == "say")
        say(value);
    else if (action == "await")
        while (access(value.c_str(), F_OK) != 0) pause_briefly();
    else {
        std::fprintf(stderr, "test_member: unknown action '%.*s'\n", static_cast<int>(action.size()), action.data());
        std::_Exit(71);
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    for (int index = 1; index < argc; ++index) act(argv[index]);
    leave_with(0);
}
