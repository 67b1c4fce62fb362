#include "memory/event_ring.hpp"

#include "base/clock.hpp"

namespace phoenix {

void record_event(const ControlSegment& segment, EventKind kind, std::uint32_t subject, std::uint64_t detail,
                  std::uint32_t peer, std::uint64_t extra) noexcept {
    const std::uint64_t number = segment.header().event_next.fetch_add(1, std::memory_order_relaxed);  // only a ticket
    EventRecord& record = segment.events()[number % event_count];
    record.stamp.store(0, std::memory_order_relaxed);
    // A reader that sees any field of the new event must not still see the stamp of the old one.
    std::atomic_thread_fence(std::memory_order_release);
    record.time_ns = boot_time_ns();
    record.kind = static_cast<std::uint32_t>(kind);
    record.subject = subject;
    record.detail = detail;
    record.peer = peer;
    record.extra = extra;
    record.stamp.store(number + 1, std::memory_order_release);  // pairs with the acquire load in EventReader::next
}

std::optional<Event> EventReader::next() noexcept {
    const std::uint64_t end = segment_->header().event_next.load(std::memory_order_acquire);
    if (end > position_ + event_count) position_ = end - event_count;
    while (position_ < end) {
        const EventRecord& record = segment_->events()[position_ % event_count];
        if (record.stamp.load(std::memory_order_acquire) == position_ + 1) {
            const Event event{static_cast<EventKind>(record.kind),
                              record.subject,
                              record.detail,
                              record.peer,
                              record.time_ns,
                              record.extra};
            std::atomic_thread_fence(std::memory_order_acquire);
            const bool intact = record.stamp.load(std::memory_order_relaxed) == position_ + 1;
            ++position_;
            if (intact) return event;
            continue;
        }
        // Not complete: its writer is at work or dead. Wait for it unless newer ones are complete already.
        bool newer = false;
        for (std::uint64_t later = position_ + 1; later < end && later < position_ + 64; ++later)
            newer = newer || segment_->events()[later % event_count].stamp.load(std::memory_order_acquire) == later + 1;
        if (!newer) return std::nullopt;
        ++position_;
    }
    return std::nullopt;
}

}  // namespace phoenix
