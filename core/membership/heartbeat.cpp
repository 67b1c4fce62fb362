#include "membership/heartbeat.hpp"

#include "base/check.hpp"

namespace phoenix {

bool HangDetector::begin_tick(std::uint64_t now_ns) {
    const bool late = ticked_ && now_ns - last_tick_ns_ > limits_.late_tick_ns;
    ticked_ = true;
    last_tick_ns_ = now_ns;
    if (late) {
        for (Track& track : tracks_) {
            track.missed = 0;
        }
    }
    return !late;
}

Liveness HangDetector::observe(const HeartbeatSample& sample) {
    PHOENIX_CHECK(sample.slot.value < member_count_max);
    Track& track = tracks_[sample.slot.value];
    const bool same = track.known && track.incarnation == sample.incarnation && track.heartbeat == sample.heartbeat;
    if (!same) {
        track = Track{sample.incarnation, sample.heartbeat, 0, true};
        return Liveness::alive;
    }
    if (sample.traced) {
        track.missed = 0;
        return Liveness::alive;
    }
    ++track.missed;
    return track.missed >= limits_.missed_ticks_max ? Liveness::hung : Liveness::alive;
}

bool HangDetector::suspects(MemberSlot slot) const {
    PHOENIX_CHECK(slot.value < member_count_max);
    const Track& track = tracks_[slot.value];
    return track.known && track.missed + 1 >= limits_.missed_ticks_max;
}

}  // namespace phoenix
