#include "runtime/port_state.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <utility>

namespace phoenix {

namespace {

FieldPlace& place_of(const MemberContext& context, const DomainHeader& domain, std::uint32_t vnode,
                     std::uint32_t field) {
    return context.arena().object<FieldPlace>(domain.fields[field].table_offset +
                                              std::uint64_t{vnode} * sizeof(FieldPlace));
}

tl::unexpected<Failure> damaged(const DomainHeader& domain, std::uint32_t vnode, std::string_view what) {
    return refusal(Errc::corrupt, fmt::format("VNode {} of domain '{}' came from another node {}; the run cannot go on "
                                              "with it: restart it.",
                                              vnode, domain.name.data(), what));
}

}  // namespace

std::vector<std::byte> state_meta(const DomainHeader& domain, VNodeRecord& record) {
    const std::uint64_t number = record.select.load(std::memory_order_acquire);
    std::vector<std::byte> meta(domain.slot_size);
    if (number == 0) return meta;  // not initialised yet: an empty commit
    std::memcpy(meta.data(), &slot_of(record, domain, number), meta.size());
    return meta;
}

std::span<const std::byte> committed_bytes(const MemberContext& context, const ExtentPool& pool,
                                           const DomainHeader& domain, std::uint32_t vnode, std::uint32_t field,
                                           const FieldCommit& commit) {
    const FieldRecord& kind = domain.fields[field];
    if (kind.resizable != 0) {
        if (commit.at == 0) return {};
        return {pool.data(static_cast<ExtentId>(commit.at)), commit.count * kind.element_size};
    }
    const FieldPlace& place = place_of(context, domain, vnode, field);
    if (place.offset == 0) return {};
    return {context.arena().at(place.offset + commit.at * place.buffer_bytes), place.buffer_bytes};
}

StatePieces state_pieces(const MemberContext& context, const ExtentPool& pool, const DomainHeader& domain,
                         std::uint32_t vnode, std::span<const std::byte> meta) {
    StatePieces result;
    CommitSlot commit;
    std::memcpy(&commit, meta.data(), sizeof commit);
    if (commit.channel_extent != 0) {
        result.channel_bytes = pool.size(commit.channel_extent);
        result.pieces.emplace_back(pool.data(commit.channel_extent), result.channel_bytes);
    }
    for (std::uint32_t field = 0; field < domain.field_count; ++field) {
        FieldCommit state;
        std::memcpy(&state, meta.data() + sizeof commit + field * sizeof state, sizeof state);
        const auto bytes = committed_bytes(context, pool, domain, vnode, field, state);
        if (!bytes.empty()) result.pieces.push_back(bytes);
    }
    return result;
}

tl::expected<std::byte*, Failure> room_for_part(const MemberContext& context, ExtentPool& pool,
                                                const DomainHeader& domain, std::uint32_t vnode, std::uint32_t field,
                                                FieldCommit& commit, ExtentKind kind) {
    const FieldRecord& record = domain.fields[field];
    if (record.resizable != 0) {
        commit.at = 0;
        if (commit.count == 0) return nullptr;
        auto extent = pool.allocate(commit.count * record.element_size, kind, domain.index, vnode);
        if (!extent) return tl::unexpected(std::move(extent.error()));
        commit.at = *extent;
        return pool.data(*extent);
    }
    FieldPlace& place = place_of(context, domain, vnode, field);
    if (commit.at >= record.buffers) return damaged(domain, vnode, "with a buffer that does not exist");
    if (place.offset == 0) {
        // Kept when the VNode leaves again: it may come back.
        auto extent = pool.allocate(place.buffer_bytes * record.buffers, ExtentKind::lasting, domain.index, vnode);
        if (!extent) return tl::unexpected(std::move(extent.error()));
        place.offset = pool.offset(*extent);
    }
    return context.arena().at(place.offset + commit.at * place.buffer_bytes);
}

tl::expected<StateRoom, Failure> make_room(const MemberContext& context, ExtentPool& pool, const DomainHeader& domain,
                                           std::uint32_t vnode, const StateHead& head, std::span<const std::byte> meta,
                                           std::uint64_t size) {
    if (meta.size() != domain.slot_size) return damaged(domain, vnode, "with a commit that is none");
    StateRoom room;
    room.meta.assign(meta.begin(), meta.end());
    std::uint64_t left = size;
    const auto refuse = [&](auto failure) {
        give_back(pool, room);
        return failure;
    };
    const auto add = [&](std::byte* place, std::uint64_t bytes) {
        if (bytes > left) return false;
        left -= bytes;
        if (bytes > 0) room.places.emplace_back(place, bytes);
        return true;
    };
    CommitSlot commit;
    std::memcpy(&commit, meta.data(), sizeof commit);
    commit.channel_extent = 0;
    commit.print_extent = 0;
    commit.print_size = 0;
    if (head.channel_bytes > size) return damaged(domain, vnode, "incomplete");
    if (head.channel_bytes != 0) {
        auto extent = pool.allocate(head.channel_bytes, ExtentKind::state, domain.index, vnode);
        if (!extent) return tl::unexpected(std::move(extent.error()));
        room.extents.push_back(*extent);
        commit.channel_extent = *extent;
        static_cast<void>(add(pool.data(*extent), head.channel_bytes));
    }
    std::memcpy(room.meta.data(), &commit, sizeof commit);
    VNodeRecord& record = context.vnode_record(domain, vnode);
    const FieldCommit* const in_force =
        fields_of(slot_of(record, domain, record.select.load(std::memory_order_acquire)));
    for (std::uint32_t field = 0; field < domain.field_count; ++field) {
        const FieldRecord& kind = domain.fields[field];
        FieldCommit state;
        std::byte* const in_meta = room.meta.data() + sizeof commit + field * sizeof state;
        std::memcpy(&state, in_meta, sizeof state);
        if (kind.resizable != 0 && state.count > left / kind.element_size)
            return refuse(damaged(domain, vnode, "incomplete"));
        if (kind.resizable == 0) state.at = (in_force[field].at + 1) % kind.buffers;
        auto place = room_for_part(context, pool, domain, vnode, field, state, ExtentKind::state);
        if (!place) return refuse(tl::unexpected(std::move(place.error())));
        if (kind.resizable != 0 && state.at != 0) room.extents.push_back(static_cast<ExtentId>(state.at));
        if (!add(*place, committed_bytes(context, pool, domain, vnode, field, state).size()))
            return refuse(damaged(domain, vnode, "incomplete"));
        std::memcpy(in_meta, &state, sizeof state);
    }
    if (left != 0) return refuse(damaged(domain, vnode, "with more than its fields hold"));
    return room;
}

void give_back(ExtentPool& pool, StateRoom& room) noexcept {
    for (const ExtentId extent : std::exchange(room.extents, {})) pool.free(extent);
}

void store_state(const MemberContext& context, ExtentPool& pool, const DomainHeader& domain, std::uint32_t vnode,
                 const StateRoom& room) noexcept {
    VNodeRecord& record = context.vnode_record(domain, vnode);
    free_state(pool, domain, record);
    const std::uint64_t number = record.select.load(std::memory_order_acquire) + 1;
    CommitSlot& slot = slot_of(record, domain, number);
    std::atomic_ref{slot.number}.store(0, std::memory_order_relaxed);  // whole again with the store below
    std::atomic_thread_fence(std::memory_order_release);
    CommitSlot commit;
    std::memcpy(&commit, room.meta.data(), sizeof commit);
    const bool empty = commit.number == 0;
    commit.number = empty ? 0 : number;
    // From here on the extents are reached, and freed with the slot if this goes no further.
    std::memcpy(fields_of(slot), room.meta.data() + sizeof commit, room.meta.size() - sizeof commit);
    std::memcpy(reinterpret_cast<std::byte*>(&slot) + sizeof slot.number,
                reinterpret_cast<const std::byte*>(&commit) + sizeof commit.number,
                sizeof commit - sizeof commit.number);
    std::atomic_ref{slot.number}.store(commit.number, std::memory_order_release);
    record.printed.store(number, std::memory_order_relaxed);  // its text was put out where it came from
    if (!empty) record.select.store(number, std::memory_order_release);
}

void free_state(ExtentPool& pool, const DomainHeader& domain, VNodeRecord& record) {
    for (const std::uint64_t number : {0U, 1U}) {
        CommitSlot& slot = slot_of(record, domain, number);
        // References first, so that none leads to what is used again.
        for (std::uint32_t* reference : {&slot.channel_extent, &slot.print_extent})
            if (const std::uint32_t old = std::exchange(*reference, 0); old != 0) pool.free(old);
        slot.print_size = 0;
        for (std::uint32_t field = 0; field < domain.field_count; ++field) {
            if (domain.fields[field].resizable == 0) continue;
            FieldCommit& state = fields_of(slot)[field];
            const std::uint64_t old = std::exchange(state.at, 0);
            FieldCommit& other = fields_of(slot_of(record, domain, number + 1))[field];
            if (other.at == old) other.at = 0;  // both commits may refer to the same extent
            if (old != 0) pool.free(static_cast<ExtentId>(old));
        }
    }
}

}  // namespace phoenix
