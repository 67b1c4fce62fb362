#include "memory/occupancy.hpp"

#include "base/clock.hpp"
#include "base/process.hpp"
#include "memory/member_table.hpp"

#include <atomic>

namespace phoenix {

namespace {

/// True if `found` says so of a member that is, or was, in a slot.
template <typename Found>
bool any_member(const ControlSegment& segment, Found&& found) noexcept {
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberRecord& record = segment.member(slot);
        const MemberIdentity who = identity_of(record);
        if (who.incarnation != 0 && who.role != MemberRole::port && found(record, who)) return true;
    }
    return false;
}

bool somebody_attached(const ControlSegment& segment) noexcept {
    return any_member(segment, [](const MemberRecord&, const MemberIdentity& who) {
        return who.presence == Presence::present && who.alive();
    });
}

std::uint64_t bit_of(NodeId node) noexcept { return std::uint64_t{1} << node.value; }

}  // namespace

bool somebody_finished(const ControlSegment& segment) noexcept {
    return any_member(segment, [](const MemberRecord& record, const MemberIdentity& who) {
        const bool has_left = who.presence == Presence::leaving || who.presence == Presence::empty;
        return has_left && record.drained.load(std::memory_order_acquire) == 0;
    });
}

bool somebody_lives(const ControlSegment& segment) noexcept {
    return somebody_attached(segment) || any_member(segment, [](const MemberRecord&, const MemberIdentity& who) {
               // It may not have said yet when it was started.
               return who.presence == Presence::claimed && start_time_of(who.process.pid) != 0;
           });
}

bool everybody_came(const ControlSegment& segment) noexcept {
    const ControlHeader& header = segment.header();
    if (header.start_deadline_ns != 0 && boot_time_ns() > header.start_deadline_ns) return true;
    std::uint32_t came = 0;
    (void)any_member(segment, [&](const MemberRecord&, const MemberIdentity& who) {
        came += who.presence == Presence::claimed ? who.incarnation - 1 : who.incarnation;
        return false;
    });
    return came >= header.expected_members.load(std::memory_order_acquire);
}

bool is_over(const ControlSegment& segment, NodeId node) noexcept {
    return (segment.header().nodes_over.load(std::memory_order_seq_cst) & bit_of(node)) != 0;
}

bool is_over(const ControlSegment& segment) noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // after the claim: pairs with the one in say_over
    return is_over(segment, NodeId{segment.header().node_id});
}

bool say_over(const ControlSegment& segment, const std::function<bool()>& nobody_will_come) {
    std::atomic<std::uint64_t>& over = segment.header().nodes_over;
    const std::uint64_t own = bit_of(NodeId{segment.header().node_id});
    const bool said_before = (over.load(std::memory_order_seq_cst) & own) != 0;
    if (!nobody_will_come()) {
        if (said_before && somebody_attached(segment)) over.fetch_and(~own, std::memory_order_seq_cst);
        return false;
    }
    over.fetch_or(own, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (nobody_will_come()) return true;
    // A predecessor may have told other nodes: then it stands.
    if (!said_before) over.fetch_and(~own, std::memory_order_seq_cst);
    return false;
}

}  // namespace phoenix
