#pragma once
/// Waiting for sockets and for one point in time: epoll(7) with a timerfd in it, so that one descriptor shows both.

#include "base/process.hpp"
#include "memory/control_segment.hpp"
#include "transport/hub.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace phoenix {

inline constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

/// What has a socket in the loop. Buried, not deleted, while events for it may be in hand.
class EventSource {
  public:
    EventSource() = default;
    EventSource(const EventSource&) = delete;
    EventSource& operator=(const EventSource&) = delete;
    virtual ~EventSource() = default;
    virtual void on_ready(std::uint32_t events) = 0;
};

class EventLoop {
  public:
    [[nodiscard]] static tl::expected<EventLoop, Failure> create(const HubClock* clock);

    void watch(int descriptor, std::uint32_t events, EventSource& source) noexcept;
    void change(int descriptor, std::uint32_t events, EventSource& source) noexcept;
    void forget(int descriptor) noexcept;

    /// Keeps the source until no event for it can come any more.
    void bury(std::unique_ptr<EventSource> source) { buried_.push_back(std::move(source)); }
    void clear_graveyard() noexcept { buried_.clear(); }

    /// Time of this round.
    [[nodiscard]] std::uint64_t now() const noexcept { return now_; }
    void read_clock() noexcept;
    /// Something has to be done then.
    void wake_at(std::uint64_t time_ns) noexcept {
        if (time_ns < deadline_) deadline_ = time_ns;
    }
    /// True once the earliest of these times has come; whoever asks then sets the next with wake_at().
    [[nodiscard]] bool due() noexcept;
    /// Makes descriptor() readable when the time comes.
    void arm() noexcept;

    /// Waits and calls the sources; how many, the timer not among them.
    [[nodiscard]] std::size_t wait(int timeout_ms);

    [[nodiscard]] int descriptor() const noexcept { return epoll_.get(); }
    [[nodiscard]] std::uint64_t wake_ups() const noexcept { return wake_ups_; }

  private:
    EventLoop() = default;

    const HubClock* clock_{nullptr};
    FileDescriptor epoll_;
    FileDescriptor timer_;
    std::vector<std::unique_ptr<EventSource>> buried_;
    std::uint64_t now_{0};
    std::uint64_t deadline_{never};
    std::uint64_t armed_{never};  ///< What the timer is set to.
    std::uint64_t wake_ups_{0};
};

}  // namespace phoenix
