#include "memory/member_table.hpp"

namespace phoenix {

namespace {

// No process is meant by a word of the slot any more, or the one that is has died before it said anything.
bool claimable(Standing standing) noexcept {
    if (standing.presence() == Presence::empty) return true;
    // Its start time may not be written: a stranger that got its pid keeps the slot for as long as it lives, no more.
    return standing.presence() == Presence::claimed && !is_alive({standing.pid(), start_time_of(standing.pid())});
}

struct Newcomer {
    std::uint32_t incarnation;
    std::uint64_t ticket;
    MemberRole role;
};

// What the predecessor left. Nobody reads it as the newcomer's before the record says `present`.
void fill(ControlHeader& header, MemberRecord& record, const Newcomer& newcomer) noexcept {
    const auto clear = [](auto&... words) { (words.store(0, std::memory_order_relaxed), ...); };
    // Whoever reads one of these meets the claim when it looks at `standing` again: pairs with the fence in
    // identity_of.
    std::atomic_thread_fence(std::memory_order_release);
    record.start_time.store(own_identity().start_time, std::memory_order_relaxed);
    record.order.store(newcomer.ticket, std::memory_order_relaxed);
    record.role.store(static_cast<std::uint32_t>(newcomer.role), std::memory_order_relaxed);
    // Sums for people to read.
    header.past_steps.fetch_add(record.steps.exchange(0, std::memory_order_relaxed), std::memory_order_relaxed);
    header.past_recoveries.fetch_add(record.recoveries.exchange(0, std::memory_order_relaxed),
                                     std::memory_order_relaxed);
    // All relaxed: published by announce().
    clear(record.numa, record.sleeping, record.acknowledged_view, record.executing, record.waiting, record.generation,
          record.taking, record.drained, record.fault_signal, record.exit_state, record.fault_address,
          record.fault_executing, record.fault_is_stack_overflow);
    record.retire.store(RetireWord::make(newcomer.incarnation, RetireWish::none, 0).bits, std::memory_order_relaxed);
}

}  // namespace

bool MemberIdentity::alive() const noexcept {
    if (presence == Presence::claimed) return is_alive({process.pid, start_time_of(process.pid)});
    return presence != Presence::empty && is_alive(process);
}

MemberIdentity identity_of(const MemberRecord& record) noexcept {
    for (;;) {
        // Sequentially consistent, as the store in announce(): of two that leave at once and look for each other then,
        // one sees the other.
        const Standing standing{record.standing.load(std::memory_order_seq_cst)};
        MemberIdentity identity{standing.presence(), standing.incarnation(), {standing.pid(), 0}};
        if (standing.presence() != Presence::claimed) {
            identity.process.start_time = record.start_time.load(std::memory_order_relaxed);  // validated below
            identity.order = record.order.load(std::memory_order_relaxed);
            identity.role = static_cast<MemberRole>(record.role.load(std::memory_order_relaxed));
            identity.numa = record.numa.load(std::memory_order_relaxed);
        }
        std::atomic_thread_fence(std::memory_order_acquire);  // pairs with the fence in fill()
        const Standing again{record.standing.load(std::memory_order_relaxed)};
        if (again.incarnation() == standing.incarnation()) return identity;
    }
}

std::optional<ClaimedSlot> claim_slot(const ControlSegment& segment, MemberRole role) noexcept {
    // Before the claim, so that no slot is in use beyond the tickets; pairs with the acquire loads that bound loops.
    const std::uint64_t ticket = segment.header().next_order.fetch_add(1, std::memory_order_acq_rel);
    const pid_t pid = own_identity().pid;
    for (std::uint32_t count = 0; count < member_count_max; ++count) {
        const std::uint32_t slot = role == MemberRole::port ? member_count_max - 1 - count : count;
        MemberRecord& record = segment.member(slot);
        Standing seen{record.standing.load(std::memory_order_acquire)};
        if (!claimable(seen)) continue;
        const Standing claimed = Standing::make(Presence::claimed, pid, seen.incarnation() + 1);
        // Who fails against another claimant goes on to the next slot.
        if (!record.standing.compare_exchange_strong(seen.bits, claimed.bits, std::memory_order_acq_rel)) continue;
        fill(segment.header(), record, {claimed.incarnation(), ticket, role});
        return ClaimedSlot{slot, claimed.incarnation()};
    }
    return std::nullopt;
}

void announce(MemberRecord& own, Presence presence) noexcept {
    const Standing now{own.standing.load(std::memory_order_relaxed)};  // ours alone
    own.standing.store(now.as(presence).bits, std::memory_order_seq_cst);
}

bool vacate_slot(const ControlSegment& segment, std::uint32_t slot, std::uint32_t incarnation) noexcept {
    MemberRecord& record = segment.member(slot);
    Standing seen{record.standing.load(std::memory_order_acquire)};
    if (seen.incarnation() != incarnation || seen.presence() != Presence::leaving) return false;
    // Release: what was cleared away before comes before anything the next claimant does.
    return record.standing.compare_exchange_strong(seen.bits, seen.as(Presence::empty).bits, std::memory_order_acq_rel);
}

bool ask_to_retire(MemberRecord& record, std::uint32_t incarnation, std::uint64_t deadline_ns) noexcept {
    const std::uint64_t wanted = RetireWord::make(incarnation, RetireWish::wanted, deadline_ns).bits;
    std::uint64_t seen = record.retire.load(std::memory_order_acquire);
    while (RetireWord{seen}.is_of(incarnation))
        if (record.retire.compare_exchange_weak(seen, wanted, std::memory_order_acq_rel)) return true;
    return false;
}

}  // namespace phoenix
