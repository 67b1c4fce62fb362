#pragma once
/// The doorbell of a port as a descriptor: members ring by futex, the network by epoll, and a port waits for both.

#include "base/process.hpp"
#include "memory/layout.hpp"

#include <atomic>
#include <thread>

namespace phoenix {

/// Sleeps on the futex in a thread of its own while the port waits in poll(2), and makes a ring readable there.
/// Threads: arm() and disarm() by one thread.
class PortBell {
  public:
    explicit PortBell(MemberRecord& record);
    PortBell(const PortBell&) = delete;
    PortBell& operator=(const PortBell&) = delete;
    ~PortBell();

    /// Readable from a ring after arm() on, until disarm().
    [[nodiscard]] int descriptor() const noexcept { return event_.get(); }
    /// The port has said that it sleeps (prepare_sleep) and found no news after that.
    void arm() noexcept;
    /// It does not sleep any more.
    void disarm() noexcept;

  private:
    void loop() noexcept;

    MemberRecord* record_;
    FileDescriptor event_;
    std::atomic<std::uint32_t> armed_{0};  ///< Counts arm(); odd values end the thread.
    std::thread thread_;
};

}  // namespace phoenix
