#include "runtime/port_domain.hpp"

#include "membership/placement_rule.hpp"
#include "memory/event_ring.hpp"
#include "runtime/printed_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

namespace phoenix {

PortDomain::PortDomain(PortNode node, DomainHeader& header)
    : node_(node), header_(&header), versions_(header.vnodes, 0) {}

void PortDomain::fail(Errc code, std::string_view sentence) const noexcept {
    node_.context.fail_quietly(code, sentence);
}

void PortDomain::work(bool news) {
    const std::uint64_t directory = header_->directory_news.load(std::memory_order_acquire);
    if (news || directory != directory_seen_) {
        directory_seen_ = directory;
        follow();
    }
    if (!transit_.empty()) count_loads();
    for (const std::uint32_t v : std::vector<std::uint32_t>{transit_.begin(), transit_.end()}) see_to_transit(v);
    store_waiting();
    for (auto& [vnode, leaving] : leaving_)
        if (!leaving.sent) send_state(vnode);
    for (const std::uint32_t v : std::vector<std::uint32_t>{dirty_.begin(), dirty_.end()}) ship(v);
}

void PortDomain::follow() {
    const MemberSlot self{node_.context.slot};
    std::vector<std::uint32_t> to_load;
    for (std::uint32_t v = 0; v < header_->vnodes; ++v) {
        const DirectoryWord at{word(v).load(std::memory_order_acquire)};
        const bool mine = at.owned_by(self);
        if (owns(v) && (!mine || versions_[v] != at.version() + 1)) drop(v);
        if (mine && !owns(v)) to_load.push_back(v);
    }
    if (!to_load.empty()) load(to_load);
}

// As a member takes VNodes (ownership.cpp): the word was changed first, then a fence, then the logs are scanned.
void PortDomain::load(const std::vector<std::uint32_t>& vnodes) {
    std::vector<bool> wanted(header_->vnodes, false);
    for (const std::uint32_t v : vnodes) {
        versions_[v] = DirectoryWord{word(v).load(std::memory_order_acquire)}.version() + 1;
        wanted[v] = true;
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    node_.pool.for_each([&](ExtentId id, std::uint64_t owner_word, const ExtentOwner& owner) {
        if (owner.kind != ExtentKind::chunk) return;
        scan_chunk(node_.pool, id, owner_word, [&](const RecordRef& ref, const Record& head) {
            if (head.domain() == header_->index && head.destination < header_->vnodes && wanted[head.destination])
                arrive(ref);
        });
    });
    for (const std::uint32_t v : vnodes) {
        DirectoryWord at{word(v).load(std::memory_order_acquire)};
        if (at.version() + 1 != versions_[v]) continue;  // given on already: the next look drops it
        if (at.state() != OwnerState::active)
            word(v).compare_exchange_strong(at.bits, at.activated().bits, std::memory_order_acq_rel);
        const LocationWord where = location(v);
        if (where.here()) transit_.insert(v);
        if (where.state() == LocationState::leaving) leaving_.try_emplace(v);
        store_arrived(v);
    }
}

void PortDomain::drop(std::uint32_t vnode) {
    versions_[vnode] = 0;
    std::erase_if(known_, [vnode](const auto& entry) { return entry.second.vnode == vnode; });
    unsent_.erase(vnode);
    dirty_.erase(vnode);
    transit_.erase(vnode);
    leaving_.erase(vnode);
}

void PortDomain::arrive(const RecordRef& ref) {
    const std::uint32_t v = ref.record->destination;
    // Somebody else's by now, or ours and not loaded yet: its owner finds the record by its scan.
    if (v >= header_->vnodes || !owns(v) || ref.released()) return;
    if (!known_.try_emplace(ref.record, Known{v, versions_[v]}).second) return;
    unsent_[v].push_back(ref);
    dirty_.insert(v);
}

void PortDomain::ship(std::uint32_t vnode) {
    const LocationWord where = location(vnode);
    const auto expected = expects_.find(vnode);
    const bool early = expected != expects_.end() && expected->second > where.epoch();
    if (where.here() || early || !node_.links.ready(where.node(), header_->index)) return;
    std::vector<RecordRef>& unsent = unsent_[vnode];
    std::size_t sent = 0;
    for (; sent < unsent.size() && node_.links.writable(where.node()); ++sent)
        post_record(vnode, where.node(), where.epoch(), unsent[sent]);
    unsent.erase(unsent.begin(), unsent.begin() + static_cast<std::ptrdiff_t>(sent));
    if (!unsent.empty()) return;
    unsent_.erase(vnode);
    dirty_.erase(vnode);
}

// The record is given up once the other node has it. It may have come back meanwhile, with its VNode: then it is its
// new owner's, who has found it by its scan.
void PortDomain::post_record(std::uint32_t vnode, NodeId peer, std::uint64_t epoch, const RecordRef& ref) {
    const Record& record = *ref.record;
    const RecordFrameHead head{epoch,         record.source,   record.destination, record.tag(),
                               record.serial, record.sequence, record.domain(),    record.generation()};
    const std::uint64_t version = versions_[vnode];
    const std::uint64_t size = record.payload_size();
    const std::array pieces{std::span<const std::byte>{payload_of(record, node_.pool), size}};
    const Lane lane = size <= chunk_payload_max ? Lane::prompt : Lane::bulk;
    const bool posted = node_.links.post(peer, FrameType::record, lane, bytes_of(head), pieces,
                                         [this, vnode, version, ref](bool accepted) {
                                             const auto at = known_.find(ref.record);
                                             if (at == known_.end() || at->second.version != version) return;
                                             if (accepted) {
                                                 known_.erase(at);
                                                 ref.release();
                                             } else {
                                                 unsent_[vnode].push_back(ref);
                                                 dirty_.insert(vnode);
                                             }
                                         });
    if (!posted) fail(Errc::internal, "A record could not be handed to the transport.");
}

void PortDomain::see_to_transit(std::uint32_t vnode) {
    const DirectoryWord at{word(vnode).load(std::memory_order_acquire)};
    if (!at.executed_by(MemberSlot{node_.context.slot})) return;
    const MoveRequest request{node_.context.move_request(*header_, vnode).load(std::memory_order_acquire)};
    const bool asked = request.asks_for_node() && request.version() + 1 == at.version();
    if (!asked || request.node() == node_.context.node() || request.node().value >= node_.links.nodes() ||
        !node_.links.ready(request.node(), header_->index))
        return give_to_member(vnode);
    const bool fetching = header_->fetch.load(std::memory_order_acquire) != 0;
    if (!hold_back_ && !fetching) begin_leaving(vnode, request.node());
}

void PortDomain::count_loads() {
    loads_.fill(0);
    for (std::uint32_t v = 0; v < header_->vnodes; ++v) {
        const DirectoryWord at{word(v).load(std::memory_order_acquire)};
        if (at.assigned() && at.owner().value < member_count_max) ++loads_[at.owner().value];
    }
}

// On a ring to whom it belongs, else to the one that has fewest: it is the node's next balance that puts it right.
MemberSlot PortDomain::receiver_of(std::uint32_t vnode, const std::vector<std::uint32_t>& choice, const View& view) {
    const PlacementRule rule = PlacementRule::of_word(header_->placement);
    if (rule.kind != PlacementKind::ring) {
        return MemberSlot{*std::min_element(
            choice.begin(), choice.end(), [this](std::uint32_t a, std::uint32_t b) { return loads_[a] < loads_[b]; })};
    }
    std::vector<RingMember> members;
    std::vector<std::uint64_t> seniorities;
    for (const std::uint32_t slot : choice) {
        members.push_back({MemberSlot{slot}, view.at(MemberSlot{slot}).order});
        seniorities.push_back(members.back().seniority);
    }
    if (!ring_ || seniorities != ring_members_) {
        ring_.emplace(rule.ring_tokens, members);
        ring_members_ = std::move(seniorities);
    }
    return ring_->owner_of(VNodeId{vnode});
}

// If the node has no members the VNode goes on to another.
void PortDomain::give_to_member(std::uint32_t vnode) {
    const MemberContext& context = node_.context;
    const View view = context.current_view();
    std::vector<std::uint32_t> members;
    std::vector<std::uint32_t> takers;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        if (!view.is_active(MemberSlot{slot}) || context.is_port(slot)) continue;
        members.push_back(slot);
        const std::uint64_t taking = context.segment().member(slot).taking.load(std::memory_order_acquire);
        if ((taking >> header_->index & 1) != 0) takers.push_back(slot);
    }
    const std::vector<std::uint32_t>& choice = takers.empty() ? members : takers;
    const bool fetching = header_->fetch.load(std::memory_order_acquire) != 0;
    if (choice.empty() && refuge_ && !hold_back_ && !fetching) return begin_leaving(vnode, *refuge_);
    if (choice.empty()) return;  // whoever comes next gets it
    DirectoryWord at{word(vnode).load(std::memory_order_acquire)};
    const MemberSlot receiver = receiver_of(vnode, choice, view);
    ++loads_[receiver.value];
    if (at.executed_by(MemberSlot{context.slot}))
        word(vnode).compare_exchange_strong(at.bits, at.given_to(receiver).bits);  // seq_cst: as in change_owners
    drop(vnode);
    header_->directory_news.fetch_add(1, std::memory_order_release);
    context.ring_all();
}

void PortDomain::change_location(std::uint32_t vnode, LocationWord next) noexcept {
    // Release: what was stored of the VNode before; pairs with the acquire loads in is_here. Only its owner changes it.
    node_.context.location_word(*header_, vnode).store(next.bits, std::memory_order_release);
    ++location_changes_;
}

void PortDomain::begin_leaving(std::uint32_t vnode, NodeId to) {
    put_out_text(node_.pool, *header_, record(vnode));
    // The wish is fulfilled. Left standing, it would send the VNode away again when it comes back: to the port.
    node_.context.move_request(*header_, vnode).store(0, std::memory_order_relaxed);  // published by what follows
    change_location(vnode, location(vnode).given_to(to));
    transit_.erase(vnode);
    leaving_.try_emplace(vnode);
    send_state(vnode);
}

void PortDomain::send_state(std::uint32_t vnode) {
    const LocationWord where = location(vnode);
    Leaving& leaving = leaving_[vnode];
    if (!node_.links.ready(where.node(), header_->index)) return;
    const auto meta = std::make_shared<const std::vector<std::byte>>(state_meta(*header_, record(vnode)));
    const StatePieces pieces = state_pieces(node_.context, node_.pool, *header_, vnode, *meta);
    const StateHead head{header_->index, vnode, where.epoch(), pieces.channel_bytes};
    const std::array meta_piece{std::span<const std::byte>{*meta}};
    // Accepted is not stored: that it says itself. The callbacks only keep the bytes.
    leaving.sent = node_.links.post(where.node(), FrameType::state_meta, Lane::bulk, bytes_of(head), meta_piece,
                                    [meta](bool) {}) &&
                   node_.links.post(where.node(), FrameType::state, Lane::bulk, bytes_of(head), pieces.pieces,
                                    [this, vnode](bool) { flying_.erase(vnode); });
    if (leaving.sent) flying_.insert(vnode);
}

void PortDomain::link_ended(NodeId peer) {
    for (auto& [vnode, leaving] : leaving_)
        if (location(vnode).node() == peer) leaving.sent = false;
    for (auto at = coming_.begin(); at != coming_.end();) {
        Coming& coming = at->second;
        const bool lost = coming.from == peer && !coming.complete;
        if (lost && coming.room) give_back(node_.pool, *coming.room);
        at = lost ? coming_.erase(at) : std::next(at);
    }
}

void PortDomain::take_stored(NodeId from, const LocationFrameHead& head) {
    if (head.vnode >= header_->vnodes || !owns(head.vnode)) return;
    const LocationWord where = location(head.vnode);
    if (!waits_for(where, from, head.epoch)) return;
    change_location(head.vnode, where.left());
    free_state(node_.pool, *header_, record(head.vnode));
    leaving_.erase(head.vnode);
    if (unsent_.contains(head.vnode)) dirty_.insert(head.vnode);
    header_->directory_news.fetch_add(1, std::memory_order_release);
}

void PortDomain::take_hint(const LocationFrameHead& head) {
    if (head.vnode >= header_->vnodes || !owns(head.vnode)) return;
    const auto better = learned(location(head.vnode), node_.context.node(), NodeId{head.node}, head.epoch);
    if (better) change_location(head.vnode, *better);
}

void PortDomain::tell_stored(NodeId to, std::uint32_t vnode, std::uint64_t epoch) {
    const LocationFrameHead head{header_->index, vnode, epoch, node_.context.node().value, 0};
    (void)node_.links.post_copy(to, FrameType::stored, bytes_of(head));  // no link: it asks again by sending again
}

// Frames of a lane are delivered in order, but may be placed in another: the meta is there when its state is next.
void PortDomain::take_state_meta(NodeId from, const StateHead& head, std::span<const std::byte> meta) {
    if (arrival_of(location(head.vnode), head.epoch) == Arrival::stored_once) return;
    const auto found = coming_.find(head.vnode);
    if (found != coming_.end() && found->second.room) return;  // sent again, and the first one is here in full
    coming_.insert_or_assign(head.vnode, Coming{from, head, {meta.begin(), meta.end()}, {}, false});
}

Landing PortDomain::place_state(NodeId from, const StateHead& head, std::uint64_t size) {
    if (arrival_of(location(head.vnode), head.epoch) == Arrival::stored_once) return Landing::transient();
    const auto found = coming_.find(head.vnode);
    if (found == coming_.end() || found->second.from != from || found->second.head.epoch != head.epoch)
        return Landing::later();
    Coming& coming = found->second;
    if (coming.room) return Landing::transient();
    auto room = make_room(node_.context, node_.pool, *header_, head.vnode, coming.head, coming.meta, size);
    if (!room) {
        fail(room.error().code, room.error().sentence);
        return Landing::transient();
    }
    coming.room = std::move(*room);
    return size == 0 ? Landing::transient() : Landing::scattered(coming.room->places);
}

void PortDomain::take_state(NodeId from, const StateHead& head) {
    // It has been here, and may be a member's since: whoever sent it must hear that all the same.
    if (arrival_of(location(head.vnode), head.epoch) == Arrival::stored_once)
        return tell_stored(from, head.vnode, head.epoch);
    const auto found = coming_.find(head.vnode);
    if (found == coming_.end() || !found->second.room) return;  // there was no room: the job has failed
    found->second.complete = true;
    store_arrived(head.vnode);
}

bool PortDomain::withdraw_state(const std::byte* address) noexcept {
    const auto found = std::find_if(coming_.begin(), coming_.end(), [&](const auto& entry) {
        const Coming& coming = entry.second;
        return coming.room && !coming.complete && !coming.room->places.empty() &&
               coming.room->places.front().data() == address;
    });
    if (found == coming_.end()) return false;
    give_back(node_.pool, *found->second.room);
    found->second.room.reset();  // what it is stays known: it may come another way
    return true;
}

void PortDomain::store_waiting() {
    std::vector<std::uint32_t> waiting;
    for (const auto& [vnode, coming] : coming_) waiting.push_back(vnode);
    for (const std::uint32_t v : waiting) store_arrived(v);
}

void PortDomain::store_arrived(std::uint32_t vnode) {
    const auto found = coming_.find(vnode);
    if (found == coming_.end() || !found->second.complete || !owns(vnode) || flying_.contains(vnode)) return;
    Coming arrived = std::move(found->second);
    coming_.erase(found);
    const LocationWord where = location(vnode);
    if (arrival_of(where, arrived.head.epoch) == Arrival::store) {
        store_state(node_.context, node_.pool, *header_, vnode, *arrived.room);
        leaving_.erase(vnode);
        change_location(vnode, where.arrived_at(node_.context.node(), arrived.head.epoch));
        transit_.insert(vnode);
    } else {
        give_back(node_.pool, *arrived.room);
    }
    tell_stored(arrived.from, vnode, arrived.head.epoch);
}

void PortDomain::take_record(NodeId from, const RecordFrameHead& head, std::span<const std::byte> payload,
                             ExtentId extent) {
    const LocationWord where = location(head.destination);
    switch (route_of(where, head.epoch)) {
        case Route::deliver: break;
        case Route::hold: {
            std::uint64_t& expected = expects_[head.destination];
            expected = std::max(expected, head.epoch);
            break;
        }
        case Route::forward: {
            const LocationFrameHead hint{header_->index, head.destination, where.epoch(), where.node().value, 0};
            (void)node_.links.post_copy(from, FrameType::hint, bytes_of(hint));
            break;
        }
    }
    // Whoever answers for the VNode gets it; if that is the port itself, by its log to itself.
    const RecordHead record{head.source,   head.destination, head.tag,       head.serial,
                            head.sequence, header_->index,   head.generation};
    auto sent = extent != 0 ? node_.mail.send_extent(word(head.destination), record, extent, payload.size())
                            : node_.mail.send(word(head.destination), record, payload.data(), payload.size());
    if (!sent) fail(sent.error().code, sent.error().sentence);
}

}  // namespace phoenix
