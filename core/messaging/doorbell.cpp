#include "messaging/doorbell.hpp"

#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace phoenix {

namespace {

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) noexcept {
    return syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation, value, timeout, nullptr, 0);
}

}  // namespace

void ring_if_sleeping(MemberRecord& member) noexcept {
    if (member.sleeping.load(std::memory_order_relaxed) == 0) return;  // ordered by the caller's fence
    if (member.sleeping.exchange(0, std::memory_order_acq_rel) != 0)
        futex(member.sleeping, FUTEX_WAKE, INT_MAX, nullptr);
}

void ring_attention(MemberRecord& member) noexcept {
    member.attention.fetch_add(1, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with the fence in prepare_sleep
    ring_if_sleeping(member);
}

void prepare_sleep(MemberRecord& self) noexcept {
    self.sleeping.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with the senders' fence before ring_if_sleeping
}

void cancel_sleep(MemberRecord& self) noexcept { self.sleeping.store(0, std::memory_order_relaxed); }

void sleep_until_rung(MemberRecord& self, std::uint64_t timeout_ns) noexcept {
    const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000),
                           static_cast<long>(timeout_ns % 1'000'000'000)};
    futex(self.sleeping, FUTEX_WAIT, 1, &timeout);
    cancel_sleep(self);
}

}  // namespace phoenix
