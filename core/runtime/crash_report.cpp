#include "runtime/crash_report.hpp"

#include "membership/crash_ledger.hpp"
#include "runtime/fiber.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

namespace phoenix {

namespace {

constexpr std::uint32_t exit_in_step = 1000;  // stands where a signal number would: the step called exit()

std::atomic<MemberRecord*> own_record{nullptr};
const FiberPool* own_fibers = nullptr;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // the sanitizers' own handlers say more
void on_fatal_signal(int signal, siginfo_t* info, void*) {
    if (MemberRecord* record = own_record.load(std::memory_order_acquire)) {
        record->fault_address.store(reinterpret_cast<std::uint64_t>(info->si_addr), std::memory_order_relaxed);
        record->fault_executing.store(record->executing.load(std::memory_order_relaxed), std::memory_order_relaxed);
        const bool overflow = signal == SIGSEGV && own_fibers != nullptr && own_fibers->is_guard_page(info->si_addr);
        record->fault_is_stack_overflow.store(overflow ? 1 : 0, std::memory_order_relaxed);
        // A signal that somebody sent (kill -SEGV) is not the step's own fault.
        if (info->si_code > 0 || signal == SIGABRT)
            record->fault_signal.store(static_cast<std::uint32_t>(signal), std::memory_order_release);
    }
    // SA_RESETHAND has put the default action back: this ends the process with the right status.
    raise(signal);
}

void install_signal_handlers() {
    constexpr std::size_t stack_size = 65536;
    stack_t stack{};
    stack.ss_sp = mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED) return;
    stack.ss_size = stack_size;
    sigaltstack(&stack, nullptr);
    struct sigaction action {};
    action.sa_sigaction = on_fatal_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | static_cast<int>(SA_RESETHAND) | SA_NODEFER;
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigaction(signal, &action, nullptr);
}
#else
void install_signal_handlers() {}
#endif

void on_process_exit(int status, void*) {
    MemberRecord* record = own_record.load(std::memory_order_acquire);
    if (record == nullptr) return;
    record->exit_state.store(0x100U | (static_cast<std::uint32_t>(status) & 0xFF), std::memory_order_release);
    if (record->executing.load(std::memory_order_relaxed) != 0) {
        record->fault_executing.store(record->executing.load(std::memory_order_relaxed), std::memory_order_relaxed);
        record->fault_signal.store(exit_in_step, std::memory_order_release);
        // Called on a fiber, with the service thread at work: static destructors must not run under them.
        std::fflush(nullptr);
        _exit(status == 0 ? 1 : status);
    }
}

std::string cause_of(const MemberRecord& record) {
    const std::uint32_t signal = record.fault_signal.load(std::memory_order_acquire);
    if (signal == exit_in_step) return "called exit()";
    if (signal == 0) return "was killed from outside";
    if (record.fault_is_stack_overflow.load(std::memory_order_relaxed) != 0)
        return "overflowed its stack (SIGSEGV in a guard page; see --stack-size)";
    return fmt::format("raised SIG{} ({}) at address {:#x}", sigabbrev_np(static_cast<int>(signal)),
                       sigdescr_np(static_cast<int>(signal)), record.fault_address.load(std::memory_order_relaxed));
}

std::uint64_t committed_serial(const MemberContext& context, const DomainHeader& domain, std::uint32_t vnode) {
    return commit_of(context.vnode_record(domain, vnode), domain).serial;
}

}  // namespace

void install_last_words(MemberContext& context, const FiberPool& fibers) {
    own_fibers = &fibers;
    const bool first = own_record.exchange(&context.record(), std::memory_order_acq_rel) == nullptr;
    static bool installed = false;
    if (!first || std::exchange(installed, true)) return;
    on_exit(on_process_exit, nullptr);
    install_signal_handlers();
}

void note_exit(int status) noexcept {
    if (MemberRecord* record = own_record.load(std::memory_order_acquire))
        record->exit_state.store(0x100U | (static_cast<std::uint32_t>(status) & 0xFF), std::memory_order_release);
}

void forget_fibers() noexcept { own_fibers = nullptr; }

std::optional<std::string> crash_verdict(const MemberContext& context, const View& view) {
    // Slots of those that failed are not used again, so the records of all the dead are still there: the ledger is made
    // anew from them, and no death is counted twice however often coordinators change.
    CrashLedger ledger;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        if (view.members[slot].state != MemberState::failed) continue;
        const MemberRecord& record = context.segment().member(slot);
        const std::uint32_t signal = record.fault_signal.load(std::memory_order_acquire);
        const std::uint64_t executing = signal != 0 ? record.fault_executing.load(std::memory_order_relaxed)
                                                    : record.executing.load(std::memory_order_relaxed);
        if (executing == 0) continue;
        const CrashKey key{static_cast<std::uint32_t>(executing >> 56) - 1,
                           VNodeId{static_cast<std::uint32_t>(executing >> 32) & 0xFFFFFF}, executing & 0xFFFFFFFF};
        const DomainHeader* domain = context.domain_header(key.domain);
        if (domain == nullptr || key.vnode.value >= domain->vnodes) continue;
        const CrashEntry& entry = ledger.record(
            key, {MemberSlot{slot}, view.members[slot].incarnation, static_cast<std::int32_t>(signal), signal != 0});
        if (verdict(entry, committed_serial(context, *domain, key.vnode.value)) == CrashVerdict::go_on) continue;
        const bool checkpoints = domain->checkpoints.load(std::memory_order_relaxed) != 0;
        return fmt::format(
            "VNode {} of domain '{}' ended {} members that executed its step {} (counted over all phases): the last "
            "one {}; "
            "the run cannot go on. {}",
            key.vnode.value, domain->name.data(), entry.count, key.step, cause_of(record),
            checkpoints ? fmt::format("The last good checkpoint is in {}.", context.settings.checkpoint_directory)
                        : "There is no checkpoint (see --checkpoint).");
    }
    return std::nullopt;
}

}  // namespace phoenix
