#include "runtime/requests.hpp"

#include "base/process.hpp"
#include "memory/member_table.hpp"
#include "messaging/doorbell.hpp"
#include "runtime/domain_layout.hpp"
#include "runtime/member_context.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace phoenix {

void ring_members(const ControlSegment& segment) noexcept {
    const auto ring = [&](std::uint32_t slot) {
        MemberRecord& member = segment.member(slot);
        // Relaxed: one that comes or goes right now looks for itself.
        const Presence presence = Standing{member.standing.load(std::memory_order_relaxed)}.presence();
        // Those that leave may be waiting for the view that retires them.
        if (presence == Presence::present || presence == Presence::leaving) ring_attention(member);
    };
    // The lowest free slot is taken first, after a ticket was drawn: those beyond the last one were never used.
    const auto end =
        std::min<std::uint64_t>(segment.header().next_order.load(std::memory_order_acquire), member_count_max);
    for (std::uint32_t slot = 0; slot < end; ++slot) ring(slot);
    // A port takes the highest free slot.
    const std::uint32_t port = segment.header().port.load(std::memory_order_acquire);
    if (port > end) ring(port - 1);
}

void ring_services(const ControlSegment& segment) noexcept {
    segment.header().service_news.fetch_add(1, std::memory_order_release);
    ring_members(segment);
}

bool request_growth(const ControlSegment& segment, std::uint32_t members) noexcept {
    ControlHeader& header = segment.header();
    const auto agent = static_cast<pid_t>(header.agent_pid.load(std::memory_order_acquire));
    if (agent == 0 || !is_alive({agent, header.agent_start_time})) return false;
    header.grow_wanted.fetch_add(members, std::memory_order_acq_rel);
    return true;
}

void request_retirement(const ControlSegment& segment, std::uint32_t slot, std::uint32_t incarnation,
                        std::uint64_t deadline_ns) noexcept {
    if (ask_to_retire(segment.member(slot), incarnation, deadline_ns)) ring_services(segment);
}

namespace {

tl::unexpected<Failure> wrong_move(std::string sentence) {
    return tl::unexpected(Failure{Errc::invalid_argument, std::move(sentence)});
}

/// The header of a domain whose VNode may be asked to move.
tl::expected<DomainHeader*, Failure> movable(const ControlSegment& segment, const Arena& arena, std::uint32_t domain,
                                             std::uint32_t vnode) {
    const std::uint64_t offset =
        domain < domain_count_max ? segment.header().domains[domain].load(std::memory_order_acquire) : 0;
    if (offset == 0) return wrong_move(fmt::format("There is no domain {} in job '{}'.", domain, segment.job_id()));
    auto& header = arena.object<DomainHeader>(offset);
    if (header.requests_offset == 0)
        return wrong_move(
            fmt::format("'{}' is a space: its VNodes move only when the application releases and assumes them.",
                        header.name.data()));
    if (vnode >= header.vnodes)
        return wrong_move(fmt::format("Domain '{}' has no VNode {}; they are 0 to {}.", header.name.data(), vnode,
                                      header.vnodes - 1));
    return &header;
}

void store_request(const ControlSegment& segment, const Arena& arena, DomainHeader& header, std::uint32_t vnode,
                   MemberSlot receiver) {
    const DirectoryWord word{arena.object<AtomicDirectoryWord>(header.directory_offset + std::uint64_t{vnode} * 8)
                                 .load(std::memory_order_acquire)};
    arena.object<AtomicMoveRequest>(header.requests_offset + std::uint64_t{vnode} * 8)
        .store(MoveRequest::make(receiver, word.version()).bits, std::memory_order_release);
    header.move_news.fetch_add(1, std::memory_order_release);
    ring_members(segment);
}

}  // namespace

tl::expected<void, Failure> request_move(const ControlSegment& segment, const Arena& arena, std::uint32_t domain,
                                         std::uint32_t vnode, std::uint32_t member) {
    const auto header = movable(segment, arena, domain, vnode);
    if (!header) return tl::unexpected(header.error());
    if (member >= member_count_max || !read_view(segment).is_active(MemberSlot{member}))
        return wrong_move(fmt::format("Member {} is not active in job '{}'; 'pflight members' lists who is.", member,
                                      segment.job_id()));
    store_request(segment, arena, **header, vnode, MemberSlot{member});
    return {};
}

tl::expected<void, Failure> request_move_to_node(const ControlSegment& segment, const Arena& arena,
                                                 std::uint32_t domain, std::uint32_t vnode, NodeId node) {
    const auto header = movable(segment, arena, domain, vnode);
    if (!header) return tl::unexpected(header.error());
    if (node.value >= segment.header().node_count)
        return wrong_move(fmt::format("There is no node {} in job '{}'; they are 0 to {}.", node.value,
                                      segment.job_id(), segment.header().node_count - 1));
    store_request(segment, arena, **header, vnode, MemberSlot{MoveRequest::node_base + node.value});
    return {};
}

}  // namespace phoenix
