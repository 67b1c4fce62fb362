#pragma once
/// The job's timeline: a ring of events in the control segment, many writers, read by the launcher.

#include "memory/control_segment.hpp"

#include <optional>

namespace phoenix {

struct Event {
    EventKind kind{};
    std::uint32_t subject{};
    std::uint64_t detail{};
    std::uint32_t peer{};
    std::uint64_t time_ns{};
    std::uint64_t extra{};
};

/// Adds an event; never blocks. If readers are event_count behind, the oldest is overwritten.
void record_event(const ControlSegment& segment, EventKind kind, std::uint32_t subject, std::uint64_t detail,
                  std::uint32_t peer = 0, std::uint64_t extra = 0) noexcept;

/// Reads events in order. Events whose writer died half-way are skipped once newer ones are complete.
class EventReader {
  public:
    explicit EventReader(const ControlSegment& segment) noexcept : segment_(&segment) {}
    [[nodiscard]] std::optional<Event> next() noexcept;

  private:
    const ControlSegment* segment_;
    std::uint64_t position_{0};
};

}  // namespace phoenix
