#include "transport/event_loop.hpp"

#include "base/check.hpp"
#include "base/clock.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <utility>

namespace phoenix {

tl::expected<EventLoop, Failure> EventLoop::create(const HubClock* clock) {
    EventLoop loop;
    loop.clock_ = clock;
    loop.epoll_ = FileDescriptor{epoll_create1(EPOLL_CLOEXEC)};
    loop.timer_ = FileDescriptor{timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
    epoll_event event{};
    event.events = EPOLLIN;
    if (!loop.epoll_.valid() || !loop.timer_.valid() ||
        epoll_ctl(loop.epoll_.get(), EPOLL_CTL_ADD, loop.timer_.get(), &event) != 0)
        return refusal(Errc::system, fmt::format("Cannot wait for connections: {}.", std::strerror(errno)));
    loop.read_clock();
    return loop;
}

void EventLoop::watch(int descriptor, std::uint32_t events, EventSource& source) noexcept {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &source;
    // EEXIST: a connection takes over the socket of its handshake.
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0)
        PHOENIX_CHECK_NOTE(errno == EEXIST && epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, descriptor, &event) == 0,
                           "a socket could not be watched");
}

void EventLoop::change(int descriptor, std::uint32_t events, EventSource& source) noexcept {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &source;
    PHOENIX_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, descriptor, &event) == 0);
}

void EventLoop::forget(int descriptor) noexcept {
    PHOENIX_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr) == 0);
}

void EventLoop::read_clock() noexcept { now_ = clock_ != nullptr ? clock_->now_ns() : boot_time_ns(); }

bool EventLoop::due() noexcept {
    if (now_ < deadline_) return false;
    deadline_ = never;
    return true;
}

void EventLoop::arm() noexcept {
    // A timer that goes off too early costs one wake-up; setting it for every change would cost a system call each.
    if (deadline_ >= armed_) return;
    const std::uint64_t left = deadline_ > now_ ? deadline_ - now_ : 1;
    itimerspec when{};
    when.it_value.tv_sec = static_cast<time_t>(left / 1'000'000'000);
    when.it_value.tv_nsec = static_cast<long>(left % 1'000'000'000);
    PHOENIX_CHECK(timerfd_settime(timer_.get(), 0, &when, nullptr) == 0);
    armed_ = deadline_;
}

std::size_t EventLoop::wait(int timeout_ms) {
    std::array<epoll_event, 64> events;
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
    ++wake_ups_;
    read_clock();
    std::size_t handled = 0;
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.ptr == nullptr) {
            std::uint64_t expirations = 0;
            if (::read(timer_.get(), &expirations, sizeof expirations) < 0) continue;
            armed_ = never;
            continue;
        }
        static_cast<EventSource*>(event.data.ptr)->on_ready(event.events);
        ++handled;
    }
    return handled;
}

}  // namespace phoenix
