#pragma once
/// What all parts of the runtime in this process share: the job's memory, this member's place in it, news.

#include "control/attachment.hpp"
#include "membership/view.hpp"
#include "memory/extent_pool.hpp"
#include "memory/settings.hpp"
#include "runtime/domain_layout.hpp"
#include "runtime/requests.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace phoenix {

/// One per process. The service thread uses segment, arena, settings and slot; all else is the main thread's.
struct MemberContext {
    JobAccess access;
    Settings settings;
    std::uint32_t slot{0};
    std::uint32_t incarnation{0};
    std::vector<std::string> capabilities;  ///< Of this node, hence of all its members.
    bool oversubscribed{false};             ///< Members outnumber cores: sleep at once instead of spinning.

    [[nodiscard]] ControlSegment& segment() const noexcept { return *access.segment; }
    [[nodiscard]] ControlHeader& header() const noexcept { return access.segment->header(); }
    [[nodiscard]] const Arena& arena() const noexcept { return access.arena; }
    [[nodiscard]] MemberRecord& record() const noexcept { return access.segment->member(slot); }
    [[nodiscard]] bool job_running() const noexcept { return segment().outcome() == Outcome::running; }

    /// Header of domain `index`; nullptr if it is not published yet.
    [[nodiscard]] DomainHeader* domain_header(std::uint32_t index) const noexcept {
        const std::uint64_t offset = header().domains[index].load(std::memory_order_acquire);
        return offset == 0 ? nullptr : &arena().object<DomainHeader>(offset);
    }
    [[nodiscard]] VNodeRecord& vnode_record(const DomainHeader& domain, std::uint32_t vnode) const noexcept {
        return arena().object<VNodeRecord>(domain.records_offset + std::uint64_t{vnode} * domain.record_stride);
    }
    [[nodiscard]] AtomicDirectoryWord& directory_word(const DomainHeader& domain, std::uint32_t vnode) const noexcept {
        return arena().object<AtomicDirectoryWord>(domain.directory_offset + std::uint64_t{vnode} * 8);
    }
    [[nodiscard]] AtomicMoveRequest& move_request(const DomainHeader& domain, std::uint32_t vnode) const noexcept {
        return arena().object<AtomicMoveRequest>(domain.requests_offset + std::uint64_t{vnode} * 8);
    }
    [[nodiscard]] AtomicLocationWord& location_word(const DomainHeader& domain, std::uint32_t vnode) const noexcept {
        return arena().object<AtomicLocationWord>(domain.locations_offset + std::uint64_t{vnode} * 8);
    }
    /// True if the state of the VNode lies on this node.
    [[nodiscard]] bool is_here(const DomainHeader& domain, std::uint32_t vnode) const noexcept {
        // Acquire: pairs with the port's change, after the state was stored.
        return domain.locations_offset == 0 ||
               LocationWord{location_word(domain, vnode).load(std::memory_order_acquire)}.here();
    }
    [[nodiscard]] bool is_port(std::uint32_t member) const noexcept {
        // Relaxed: published with the presence of whoever has the slot.
        return segment().member(member).role.load(std::memory_order_relaxed) ==
               static_cast<std::uint32_t>(MemberRole::port);
    }
    [[nodiscard]] NodeId node() const noexcept { return NodeId{header().node_id}; }
    [[nodiscard]] std::uint32_t node_count() const noexcept { return header().node_count; }
    [[nodiscard]] View current_view() const;
    /// Wakes the port of this node if it sleeps: there may be something for other nodes. Nothing in a job of one node.
    void ring_port() const noexcept {
        if (header().node_count > 1) ring_sleeping_port();
    }
    /// Wakes every member: there is news.
    void ring_all() const noexcept { ring_members(segment()); }
    /// True if the member of that slot and incarnation was seen dead or has retired, by the current view.
    [[nodiscard]] bool seen_dead(std::uint32_t member, std::uint32_t member_incarnation) const;

    /// The same for claims that name a slot only. One that retires leaves no claim behind, because it leaves between
    /// two steps, and slots of those that failed are not used again: so whoever has the slot is who claimed.
    [[nodiscard]] bool slot_is_gone(std::uint32_t member) const;

    /// Members that have failed so far, by the view in force.
    [[nodiscard]] std::uint32_t failed_members() const;

    /// Ends the job with an error, unless it has ended already, wakes everybody and throws what ended it.
    [[noreturn]] void fail(Errc code, std::string_view sentence) const;
    /// The same without throwing; for threads and destructors.
    void fail_quietly(Errc code, std::string_view sentence) const noexcept;
    /// Throws the job's error if it has ended with one.
    void throw_if_ended() const;

  private:
    void ring_sleeping_port() const noexcept;
};

/// Reads the view in force.
[[nodiscard]] View read_view(const ControlSegment& segment);

}  // namespace phoenix
