#pragma once
/// Sleeping and waking of members: a futex word per member, touched only when somebody sleeps.
///
/// Both sides fence between their own store and their look at the other's (rule 3): the sleeper sets `sleeping`,
/// fences, looks for news once more; the sender publishes, fences, looks at `sleeping`. At least one of them sees the
/// other.

#include "memory/control_segment.hpp"

#include <cstdint>

namespace phoenix {

/// Wakes the member if it sleeps. The caller has published its news and fenced.
void ring_if_sleeping(MemberRecord& member) noexcept;

/// Publishes that there is news other than records, and wakes the member. Any thread.
void ring_attention(MemberRecord& member) noexcept;

/// Says that this member is going to sleep; the caller must then look for news once more.
void prepare_sleep(MemberRecord& self) noexcept;
/// Takes that back.
void cancel_sleep(MemberRecord& self) noexcept;
/// Sleeps until woken or `timeout_ns` have passed.
void sleep_until_rung(MemberRecord& self, std::uint64_t timeout_ns) noexcept;

}  // namespace phoenix
