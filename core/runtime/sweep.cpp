#include "runtime/sweep.hpp"

#include "messaging/channel.hpp"
#include "messaging/log.hpp"

#include <phoenix/domain.hpp>

#include <algorithm>
#include <atomic>
#include <vector>

namespace phoenix {

namespace {

bool gone(const View& view, std::uint32_t slot) noexcept {
    if (slot >= member_count_max) return slot == nobodys_slot;
    const MemberState state = view.members[slot].state;
    return state == MemberState::failed || state == MemberState::retired;
}

// Either slot of the VNode's record may refer to it: the one in force, or the one that its executor was writing.
bool reached_by_commit(const MemberContext& context, ExtentId id, const ExtentOwner& owner) {
    const DomainHeader* domain = context.domain_header(owner.domain);
    if (domain == nullptr || owner.vnode >= domain->vnodes) return false;
    VNodeRecord& record = context.vnode_record(*domain, owner.vnode);
    const std::uint64_t select = record.select.load(std::memory_order_acquire);
    for (const std::uint64_t number : {0U, 1U}) {
        CommitSlot& slot = slot_of(record, *domain, number);
        if (slot.channel_extent == id || slot.print_extent == id) return true;
        for (std::uint32_t field = 0; field < domain->field_count; ++field)
            if (domain->fields[field].resizable != 0 && fields_of(slot)[field].at == id) return true;
    }
    // A commit in between may have carried the reference from the slot we had still to read to the one we had read.
    std::atomic_thread_fence(std::memory_order_acquire);
    return record.select.load(std::memory_order_relaxed) != select;
}

struct Payload {
    ExtentId id;
    std::uint64_t word;
};

struct Found {
    std::vector<Payload> payloads;
    std::vector<ExtentId> reached;  ///< Payloads of records that are not released.
    SweepResult result;
};

// Whoever reads the log that the chunk belongs to is gone, or has said that it is through with it.
bool reader_through(const MemberContext& context, const View& view, const ChunkHeader& header, std::uint32_t writer) {
    if (writer >= member_count_max || header.reader >= member_count_max || gone(view, header.reader)) return true;
    const LogHead head{context.segment().log_head(header.reader, writer).load(std::memory_order_acquire)};
    return !head.is_for(view.members[header.reader].incarnation.value);
}

void sweep_chunk(const MemberContext& context, ExtentPool& pool, const View& view, Payload chunk, Found& found) {
    const std::uint32_t slot = ExtentOwner::unpack(chunk.word).slot;
    const bool through =
        reader_through(context, view, *reinterpret_cast<const ChunkHeader*>(pool.data(chunk.id)), slot);
    bool all = through;
    scan_chunk(pool, chunk.id, chunk.word, [&](const RecordRef& ref, const Record& head) {
        if (ref.released()) return;
        if (through && consumed_by_commit(context, pool, head)) {
            ref.release();
            return;
        }
        all = false;
        if (head.kind() == RecordKind::extent_payload) found.reached.push_back(head.large.extent);
    });
    if (all && pool.free_swept(chunk.id, chunk.word)) return;
    found.result.left = true;
    if (through)
        pool.disown(chunk.id, chunk.word);
    else
        found.result.in_logs[slot] = true;
}

// Payloads are reached by records only, published ones: their allocators are gone.
void sweep_payloads(ExtentPool& pool, Found& found) {
    std::sort(found.reached.begin(), found.reached.end());
    for (const Payload& payload : found.payloads) {
        if (!std::binary_search(found.reached.begin(), found.reached.end(), payload.id)) {
            (void)pool.free_swept(payload.id, payload.word);
            continue;
        }
        found.result.left = true;
        pool.disown(payload.id, payload.word);
    }
}

}  // namespace

bool consumed_by_commit(const MemberContext& context, const ExtentPool& pool, const Record& record) {
    const DomainHeader* domain = record.domain() < domain_count_max ? context.domain_header(record.domain()) : nullptr;
    if (domain == nullptr || record.destination >= domain->vnodes ||
        domain->recovery != static_cast<std::uint32_t>(Recovery::local) ||
        domain->kind != static_cast<std::uint32_t>(DomainKind::domain))
        return false;
    // By the commit *before* the one in force. What the commit in force consumed its executor may be about to release
    // this very moment; done by us first, the chunk could be in other use when it gets there.
    VNodeRecord& receiver = context.vnode_record(*domain, record.destination);
    const std::uint64_t number = receiver.select.load(std::memory_order_acquire);
    if (number < 2) return false;
    const CommitSlot& slot = slot_of(receiver, *domain, number - 1);
    const std::uint64_t before =
        std::atomic_ref{const_cast<std::uint64_t&>(slot.number)}.load(std::memory_order_acquire);
    const std::uint32_t extent = slot.channel_extent;
    const std::uint32_t count = slot.channel_count;
    // The next commit clears `number` before it touches anything else of this slot.
    const auto intact = [&] {
        std::atomic_thread_fence(std::memory_order_acquire);
        return std::atomic_ref{const_cast<std::uint64_t&>(slot.number)}.load(std::memory_order_relaxed) == number - 1 &&
               receiver.select.load(std::memory_order_relaxed) == number;
    };
    if (before != number - 1 || !intact() || extent == 0) return false;
    return committed_contains({pool.data(extent), static_cast<std::size_t>(pool.size(extent))}, count, record.source,
                              record.sequence) &&
           intact();
}

SweepResult sweep_after_the_dead(const MemberContext& context, ExtentPool& pool, const View& view) {
    Found found;
    pool.for_each([&](ExtentId id, std::uint64_t word, const ExtentOwner& owner) {
        if (!gone(view, owner.slot)) return;
        switch (owner.kind) {
            case ExtentKind::cached: pool.free_swept(id, word); break;
            case ExtentKind::chunk: sweep_chunk(context, pool, view, {id, word}, found); break;
            case ExtentKind::payload: found.payloads.push_back({id, word}); break;
            case ExtentKind::state:
                if (reached_by_commit(context, id, owner))
                    pool.disown(id, word);
                else
                    pool.free_swept(id, word);
                break;
            case ExtentKind::unborn:
            case ExtentKind::free:
            case ExtentKind::lasting: break;
        }
    });
    sweep_payloads(pool, found);
    return found.result;
}

}  // namespace phoenix
