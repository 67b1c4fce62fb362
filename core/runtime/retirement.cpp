#include "runtime/retirement.hpp"

#include "base/clock.hpp"
#include "memory/member_table.hpp"

#include <cerrno>
#include <csignal>

namespace phoenix {

namespace {

const ControlSegment* retiring_segment = nullptr;  // set before the handler is installed
std::uint32_t retiring_slot = 0;
std::uint32_t retiring_incarnation = 0;

// Async-signal-safe: atomics, clock_gettime, kill and futex only.
void on_sigterm(int number) {
    const int before = errno;
    const ControlSegment& segment = *retiring_segment;
    const auto agent = static_cast<pid_t>(segment.header().agent_pid.load(std::memory_order_acquire));
    if (segment.outcome() == Outcome::running && agent != 0 && kill(agent, 0) == 0) {
        request_retirement(segment, retiring_slot, retiring_incarnation, boot_time_ns() + sigterm_drain_ns);
    } else {
        signal(number, SIG_DFL);
        raise(number);
    }
    errno = before;
}

}  // namespace

void retire_on_sigterm(const MemberContext& context) noexcept {
    struct sigaction action {};
    if (sigaction(SIGTERM, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return;
    retiring_segment = &context.segment();
    retiring_slot = context.slot;
    retiring_incarnation = context.incarnation;
    action.sa_handler = on_sigterm;
    action.sa_flags = SA_RESTART;
    sigaction(SIGTERM, &action, nullptr);
}

bool drained(const MemberContext& context) {
    const RetireWish wish = retire_word(context.record()).wish();
    const MemberSlot self{context.slot};
    if (wish != RetireWish::wanted || context.current_view().at(self).state != MemberState::draining) return false;
    for (std::uint32_t index = 0; index < domain_count_max; ++index) {
        const DomainHeader* domain = context.domain_header(index);
        for (std::uint32_t v = 0; domain != nullptr && v < domain->vnodes; ++v)
            if (DirectoryWord{context.directory_word(*domain, v).load(std::memory_order_acquire)}.owned_by(self))
                return false;
    }
    return true;
}

}  // namespace phoenix
