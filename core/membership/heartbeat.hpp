#pragma once
/// Detection of hung members (SIGSTOP, endless loop in the service thread). Pure: no clock of its own.

#include "base/ids.hpp"
#include "membership/view.hpp"

#include <array>
#include <cstdint>

namespace phoenix {

struct HangLimits {
    std::uint32_t missed_ticks_max{20};       ///< Own ticks without a heartbeat after which a member is hung.
    std::uint64_t late_tick_ns{200'000'000};  ///< An own tick this long after the one before is late.
};

/// What the observer reads of a member at one of its ticks.
struct HeartbeatSample {
    MemberSlot slot{};
    Incarnation incarnation{};
    std::uint64_t heartbeat{};  ///< Counter, changed by the member's service thread.
    bool traced{};              ///< A debugger is attached; needed only if `suspects` says so.
};

/// Counts the *observer's own* ticks, not time: whatever suspends the machine or the whole job suspends the observer as
/// well, and the late tick it then makes starts all counts anew. A member counts from its first sample.
/// @threads One.
class HangDetector {
  public:
    explicit HangDetector(HangLimits limits = {}) : limits_(limits) {}

    /// Begins an own tick at `now_ns` (CLOCK_BOOTTIME). False if it is late; counts start anew then.
    bool begin_tick(std::uint64_t now_ns);
    /// One sample per member and tick. Hung after `missed_ticks_max` ticks without change, never while traced.
    [[nodiscard]] Liveness observe(const HeartbeatSample& sample);
    /// True if the next sample of `slot` could make it hung: only then is it worth reading who traces it.
    [[nodiscard]] bool suspects(MemberSlot slot) const;

  private:
    struct Track {
        Incarnation incarnation{};
        std::uint64_t heartbeat{};
        std::uint32_t missed{};
        bool known{};
    };

    HangLimits limits_;
    std::array<Track, member_count_max> tracks_{};
    std::uint64_t last_tick_ns_{};
    bool ticked_{};
};

}  // namespace phoenix
