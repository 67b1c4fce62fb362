#include "runtime/port_bell.hpp"

#include "base/check.hpp"
#include "messaging/doorbell.hpp"

#include <csignal>
#include <sys/eventfd.h>
#include <unistd.h>

namespace phoenix {

namespace {

constexpr std::uint64_t bell_sleep_ns = 1'000'000'000;

}  // namespace

PortBell::PortBell(MemberRecord& record) : record_(&record), event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    PHOENIX_CHECK_NOTE(event_.valid(), "no descriptor for the port's doorbell");
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread{[this] { loop(); }};
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

PortBell::~PortBell() {
    armed_.fetch_or(1, std::memory_order_acq_rel);
    armed_.notify_one();
    prepare_sleep(*record_);
    ring_attention(*record_);  // wakes the thread if it is in the futex
    thread_.join();
}

void PortBell::arm() noexcept {
    armed_.fetch_add(2, std::memory_order_release);
    armed_.notify_one();
}

void PortBell::disarm() noexcept {
    cancel_sleep(*record_);
    std::uint64_t rings = 0;
    // Nothing to read is as good: then nobody has rung.
    if (read(event_.get(), &rings, sizeof rings) < 0) return;
}

// A ring that comes when the port is awake already wakes it once more, for nothing.
void PortBell::loop() noexcept {
    std::uint32_t seen = 0;
    for (;;) {
        armed_.wait(seen, std::memory_order_acquire);
        seen = armed_.load(std::memory_order_acquire);
        if ((seen & 1) != 0) return;
        while (record_->sleeping.load(std::memory_order_acquire) != 0 && armed_.load(std::memory_order_acquire) == seen)
            sleep_until_rung(*record_, bell_sleep_ns);
        const std::uint64_t one = 1;
        if (write(event_.get(), &one, sizeof one) < 0) continue;  // full: readable already
    }
}

}  // namespace phoenix
