#include "runtime/port_collectives.hpp"

#include <algorithm>
#include <cstring>

namespace phoenix {

PortCollectives::PortCollectives(PortNode node, PortDomain& domain)
    : node_(node), domain_(&domain), header_(&domain.header()) {}

bool PortCollectives::find() {
    if (memory_.found()) return true;
    if (auto found = memory_.find(node_.context, node_.pool, *header_); !found) {
        node_.context.fail_quietly(found.error().code, found.error().sentence);
        return false;
    }
    return true;
}

void PortCollectives::find_own_places() {
    if (own_as_of_ == domain_->location_changes()) return;
    own_as_of_ = domain_->location_changes();
    own_.clear();
    std::vector<std::vector<bool>> ours(memory_.levels());
    for (std::uint32_t v = 0; v < header_->vnodes; ++v) ours[0].push_back(domain_->location(v).here());
    for (std::uint32_t level = 1; level < memory_.levels(); ++level)
        for (std::uint32_t place = 0; place < memory_.size(level); ++place) {
            const bool right = 2 * place + 1 >= memory_.size(level - 1) || ours[level - 1][2 * place + 1];
            ours[level].push_back(ours[level - 1][2 * place] && right);
        }
    for (std::uint32_t level = 0; level < memory_.levels(); ++level)
        for (std::uint32_t place = 0; place < memory_.size(level); ++place) {
            const bool in_larger = level + 1 < memory_.levels() && ours[level + 1][place / 2];
            if (ours[level][place] && !in_larger) own_.push_back({level, place});
        }
}

void PortCollectives::work() {
    if (header_->collectives.load(std::memory_order_acquire) == 0 || !find()) return;
    find_own_places();
    for (const NodeId peer : node_.links.peers_up()) {
        if (!node_.links.ready(peer, header_->index)) continue;
        if (!told_everything_[peer.value]) tell_everything(peer);
        for (const Place& place : own_)
            for (const std::uint32_t parity : {0U, 1U}) tell_place(peer, place, parity);
        tell_casts(peer);
    }
}

void PortCollectives::forget(NodeId peer) {
    told_[peer.value].clear();
    told_everything_[peer.value] = false;
    next_cast_[peer.value] = 0;
}

// For a new link, or a new port: nobody knows what was told before. The largest complete places of both rounds say all
// that can be known here, whatever its way was.
void PortCollectives::tell_everything(NodeId peer) {
    told_everything_[peer.value] = true;
    for (const std::uint32_t parity : {0U, 1U}) tell_everything_below(peer, {memory_.levels() - 1, 0}, parity, 0);
}

// `above`: word of the place above that was told; what lies below it is in it, unless it is of a later round.
void PortCollectives::tell_everything_below(NodeId peer, const Place& place, std::uint32_t parity,
                                            std::uint64_t above) {
    const std::uint64_t word = memory_.node(place.level, place.place, parity).word.load(std::memory_order_seq_cst);
    if (CollectiveMemory::is_done(word) && word > above) {
        tell_place(peer, place, parity);
        above = word;
    }
    if (place.level == 0) return;
    const std::uint32_t left = 2 * place.place;
    tell_everything_below(peer, {place.level - 1, left}, parity, above);
    if (left + 1 < memory_.size(place.level - 1))
        tell_everything_below(peer, {place.level - 1, left + 1}, parity, above);
}

void PortCollectives::tell_place(NodeId peer, const Place& place, std::uint32_t parity) {
    CollectiveNode& node = memory_.node(place.level, place.place, parity);
    const std::uint64_t word = node.word.load(std::memory_order_seq_cst);
    if (!CollectiveMemory::is_done(word)) return;
    const std::uint64_t key = std::uint64_t{place.level} << 33 | std::uint64_t{place.place} << 1 | parity;
    std::uint64_t& told = told_[peer.value][key];
    if (told == word) return;
    // Nobody writes one of our own again before the other nodes have had its round; others may be, this very moment.
    std::vector<std::byte> value(std::min(node.size, header_->collective_bytes_max));
    if (!value.empty()) std::memcpy(value.data(), CollectiveMemory::value_of(node), value.size());
    std::atomic_thread_fence(std::memory_order_acquire);
    if (node.word.load(std::memory_order_relaxed) != word) return;
    told = word;
    tell(peer, {header_->index, place.level, place.place, static_cast<std::uint32_t>(value.size()), word},
         value.data());
}

void PortCollectives::tell_casts(NodeId peer) {
    std::uint32_t& round = next_cast_[peer.value];
    for (;; ++round) {
        const CollectiveResult& entry = memory_.result(true, round);
        const std::uint64_t word = entry.word.load(std::memory_order_acquire);
        if (!CollectiveMemory::is_done(word)) return;
        if (CollectiveMemory::round_of(word) != round) {
            if (CollectiveMemory::round_of(word) < round) return;
            continue;  // long over: everybody has it
        }
        if (casts_from_elsewhere_.contains(round)) continue;
        tell(peer, {header_->index, cast_level, round, entry.size, word}, memory_.value_of(entry));
    }
}

void PortCollectives::tell(NodeId peer, const PlaceHead& head, const std::byte* value) {
    const bool posted = node_.links.post_copy(peer, FrameType::place, bytes_of(head), {value, head.size},
                                              [this](bool) { --outstanding_; });
    if (posted) ++outstanding_;
}

void PortCollectives::take_place(const PlaceHead& head, std::span<const std::byte> payload) {
    if (!find() || payload.size() != head.size) return;
    const std::uint32_t round = CollectiveMemory::round_of(head.word);
    const auto publish = [&](bool cast) {
        auto published = memory_.publish(memory_.result(cast, round), head.word, payload.data(), payload.size());
        if (!published) node_.context.fail_quietly(published.error().code, published.error().sentence);
    };
    if (head.level == cast_level) {
        casts_from_elsewhere_.insert(round);
        while (casts_from_elsewhere_.size() > 2 * result_ring_size)
            casts_from_elsewhere_.erase(casts_from_elsewhere_.begin());
        return publish(true);
    }
    if (head.level >= memory_.levels() || head.place >= memory_.size(head.level) ||
        head.size > header_->collective_bytes_max)
        return;
    CollectiveNode& node = memory_.node(head.level, head.place, round);
    if (!memory_.claim(node.word, head.word)) return;
    node.size = head.size;
    if (!payload.empty()) std::memcpy(CollectiveMemory::value_of(node), payload.data(), payload.size());
    node.word.store(head.word, std::memory_order_seq_cst);
    if (head.level + 1 == memory_.levels()) publish(false);
    memory_.ring();
}

}  // namespace phoenix
