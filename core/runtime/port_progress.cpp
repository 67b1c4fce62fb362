#include "runtime/port_progress.hpp"

#include "base/clock.hpp"
#include "runtime/port_state.hpp"

#include <algorithm>
#include <cstring>
#include <tuple>

namespace phoenix {

namespace {

// Results of collectives are kept until everybody has committed beyond them; others must hear of that long before the
// ring is full.
constexpr std::uint32_t rounds_untold_max = result_ring_size / 16;
constexpr std::size_t news_per_frame = 800;  // fits into a prompt frame, so that news of a VNode stay in order
constexpr std::uint64_t fetch_again_ns = 200'000'000;

auto progress_of(const CommitSlot& commit) noexcept {
    return std::tuple{commit.phase, commit.serial, commit.flags, commit.sync_round, commit.cast_round};
}

}  // namespace

PortProgress::PortProgress(PortNode node, PortDomain& domain)
    : node_(node),
      domain_(&domain),
      header_(&domain.header()),
      seen_(header_->vnodes, 0),
      told_(header_->vnodes, CommitSlot{}) {}

bool PortProgress::worth_telling(const CommitSlot& commit, const CommitSlot& told) const noexcept {
    return commit.phase != told.phase || commit.flags != told.flags ||
           commit.sync_round - told.sync_round >= rounds_untold_max ||
           commit.cast_round - told.cast_round >= rounds_untold_max;
}

void PortProgress::work() {
    for (auto at = waiting_.begin(); at != waiting_.end();) {
        const LocationState state = domain_->location(at->first).state();
        if (state == LocationState::leaving) {
            ++at;
            continue;
        }
        if (state == LocationState::away) apply(at->first, at->second);
        at = waiting_.erase(at);
    }
    std::vector<CommitNews> news;
    std::vector<CommitNews> all;
    const std::vector<NodeId> peers = node_.links.peers_up();
    const auto must_hear_all = [&](NodeId peer) {
        return node_.links.ready(peer, header_->index) && !told_all_[peer.value];
    };
    const bool somebody_new = std::any_of(peers.begin(), peers.end(), must_hear_all);
    for (std::uint32_t v = 0; v < header_->vnodes; ++v) {
        VNodeRecord& record = domain_->record(v);
        const std::uint64_t number = record.select.load(std::memory_order_acquire);
        if ((number == seen_[v] && !somebody_new) || !domain_->location(v).here()) continue;
        const CommitSlot commit = commit_of(record, *header_);
        seen_[v] = commit.number;
        if (commit.number == 0) continue;
        if (somebody_new) all.push_back({v, 0, commit});
        if (!worth_telling(commit, told_[v])) continue;
        told_[v] = commit;
        news.push_back({v, 0, commit});
    }
    for (const NodeId peer : peers) {
        if (!node_.links.ready(peer, header_->index)) continue;
        tell(peer, told_all_[peer.value] ? std::span<const CommitNews>{news} : std::span<const CommitNews>{all});
        told_all_[peer.value] = true;
    }
    ask_for_parts();
}

void PortProgress::tell(NodeId peer, std::span<const CommitNews> news) {
    for (; !news.empty(); news = news.subspan(std::min(news.size(), news_per_frame))) {
        const auto some = news.first(std::min(news.size(), news_per_frame));
        const CommitsHead head{header_->index, static_cast<std::uint32_t>(some.size())};
        (void)node_.links.post_copy(peer, FrameType::commits, bytes_of(head), std::as_bytes(some));
    }
}

void PortProgress::take_commits(std::span<const CommitNews> news) {
    for (const CommitNews& item : news) {
        if (item.vnode >= header_->vnodes) continue;
        const LocationState state = domain_->location(item.vnode).state();
        if (state == LocationState::away) apply(item.vnode, item.commit);
        // It may have gone further than the node that it left for, before that one could say that it has come.
        if (state == LocationState::leaving) waiting_[item.vnode] = item.commit;
    }
    node_.context.ring_all();
}

// Written as its owner writes a commit, so that whoever reads it meanwhile gets a whole one.
void PortProgress::apply(std::uint32_t vnode, const CommitSlot& commit) {
    VNodeRecord& record = domain_->record(vnode);
    const std::uint64_t before = record.select.load(std::memory_order_acquire);
    CommitSlot& in_force = slot_of(record, *header_, before);
    if (before != 0 && progress_of(in_force) >= progress_of(commit)) return;
    CommitSlot& slot = slot_of(record, *header_, before + 1);
    std::atomic_ref{slot.number}.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    CommitSlot shown = commit;
    shown.number = before + 1;
    shown.channel_extent = shown.channel_count = shown.print_extent = shown.print_size = 0;
    for (std::uint32_t field = 0; field < header_->field_count; ++field) {
        FieldCommit& next = fields_of(slot)[field];
        const FieldCommit& now = fields_of(in_force)[field];
        const bool copied = header_->fields[field].resizable != 0 && next.at != 0 && next.at != now.at;
        const auto old = static_cast<ExtentId>(next.at);
        next = now;
        if (copied) node_.pool.free(old);
    }
    std::memcpy(reinterpret_cast<std::byte*>(&slot) + sizeof slot.number,
                reinterpret_cast<const std::byte*>(&shown) + sizeof shown.number, sizeof shown - sizeof shown.number);
    std::atomic_ref{slot.number}.store(shown.number, std::memory_order_release);
    record.select.store(shown.number, std::memory_order_release);  // pairs with the acquire load in commit_of
}

void PortProgress::ask_for_parts() {
    const std::uint64_t wanted = header_->fetch.load(std::memory_order_acquire);
    if (wanted == 0) return;
    const std::uint64_t now = boot_time_ns();
    if (wanted == fetch_asked_ && now < fetch_asked_ns_ + fetch_again_ns) return;
    fetch_asked_ = wanted;
    fetch_asked_ns_ = now;
    const FetchHead head{header_->index, static_cast<std::uint32_t>(wanted) - 1,
                         static_cast<std::uint32_t>(wanted >> 32), 0};
    for (const NodeId peer : node_.links.peers_up())
        if (node_.links.ready(peer, header_->index))
            (void)node_.links.post_copy(peer, FrameType::fetch, bytes_of(head));
}

void PortProgress::take_fetch(NodeId from, const FetchHead& head) {
    if (head.field >= header_->field_count) return;
    for (std::uint32_t v = 0; v < header_->vnodes; ++v) {
        if (!domain_->location(v).here()) continue;
        VNodeRecord& record = domain_->record(v);
        const std::uint64_t number = record.select.load(std::memory_order_acquire);
        const FieldCommit commit = fields_of(slot_of(record, *header_, number))[head.field];
        const auto bytes = committed_bytes(node_.context, node_.pool, *header_, v, head.field, commit);
        const PartHead part{head.domain, head.field, head.number, v, commit.count};
        // Nobody executes while a gather is made; a copy all the same, since the answer to a second question may come
        // when that is over.
        (void)node_.links.post_copy(from, FrameType::part, bytes_of(part), bytes);
    }
}

void PortProgress::take_part(const PartHead& head, std::span<const std::byte> payload) {
    if (head.vnode >= header_->vnodes || head.field >= header_->field_count ||
        domain_->location(head.vnode).state() != LocationState::away || domain_->is_coming(head.vnode))
        return;  // what is coming may be read into this very place, and is all that a gather waits for
    const std::uint64_t wanted = header_->fetch.load(std::memory_order_acquire);
    if (wanted != (std::uint64_t{head.number} << 32 | (head.field + 1))) return;
    VNodeRecord& record = domain_->record(head.vnode);
    FieldCommit& commit =
        fields_of(slot_of(record, *header_, record.select.load(std::memory_order_acquire)))[head.field];
    const bool resizable = header_->fields[head.field].resizable != 0;
    if (resizable && record.replica.load(std::memory_order_relaxed) == head.number)
        return;  // somebody may be reading it
    const auto old = static_cast<ExtentId>(commit.at);
    FieldCommit fresh{0, head.count};
    auto room = room_for_part(node_.context, node_.pool, *header_, head.vnode, head.field, fresh, ExtentKind::lasting);
    if (!room) return node_.context.fail_quietly(room.error().code, room.error().sentence);
    const auto place = committed_bytes(node_.context, node_.pool, *header_, head.vnode, head.field, fresh);
    if (place.size() != payload.size()) return;
    if (!payload.empty()) std::memcpy(*room, payload.data(), payload.size());
    commit = fresh;
    if (resizable && old != 0) node_.pool.free(old);
    record.replica.store(head.number, std::memory_order_release);  // pairs with the acquire load in fetch_parts
    node_.context.ring_all();
}

}  // namespace phoenix
