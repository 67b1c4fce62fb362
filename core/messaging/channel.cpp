#include "messaging/channel.hpp"

namespace phoenix {

namespace {

template <typename T>
T load(const std::byte* from) noexcept {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

}  // namespace

const RecordRef* Channel::find_pending(std::uint64_t sequence) const noexcept {
    const auto begin = pending.begin() + static_cast<std::ptrdiff_t>(pending_head);
    const auto found = std::lower_bound(begin, pending.end(), sequence, [](const RecordRef& ref, std::uint64_t wanted) {
        return ref.record->sequence < wanted;
    });
    return found != pending.end() && found->record->sequence == sequence ? &*found : nullptr;
}

void Channel::insert_among(const RecordRef& ref) {
    const auto begin = pending.begin() + static_cast<std::ptrdiff_t>(pending_head);
    pending.insert(
        std::upper_bound(begin, pending.end(), ref.record->sequence,
                         [](std::uint64_t wanted, const RecordRef& other) { return wanted < other.record->sequence; }),
        ref);
}

std::optional<std::size_t> Channel::find(std::uint32_t tag) const noexcept {
    // Walks along the channel while nothing is missing: an overtaking record must wait for the ones before it.
    std::uint64_t expected = consumed.low;
    std::size_t above = 0;
    for (std::size_t index = pending_head; index < pending.size(); ++index, ++expected) {
        while (above < consumed.above.size() && consumed.above[above] == expected) ++above, ++expected;
        if (pending[index].record->sequence != expected) return std::nullopt;
        if (pending[index].record->tag() == tag) return index;
    }
    return std::nullopt;
}

std::optional<RecordRef> Channel::take_next() {
    if (empty()) return std::nullopt;
    const auto index = find(pending[pending_head].record->tag());
    return index ? std::optional{remove(*index)} : std::nullopt;
}

RecordRef Channel::remove(std::size_t index) {
    const RecordRef ref = pending[index];
    consumed.add(ref.record->sequence);
    if (index == pending_head) {
        ++pending_head;
    } else {
        pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(index));
    }
    if (pending_head > 64 && pending_head * 2 > pending.size()) {
        pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(pending_head));
        pending_head = 0;
    }
    return ref;
}

Channel& ChannelTable::at_indexed(std::uint32_t peer) {
    if (channels_.size() >= linear_max) {
        if (const auto found = index_.find(peer); found != index_.end()) return channels_[found->second];
        index_.emplace(peer, static_cast<std::uint32_t>(channels_.size()));
    }
    channels_.emplace_back();
    channels_.back().peer = peer;
    linear_count_ = std::min(linear_count_ + 1, linear_max);
    return channels_.back();
}

std::uint64_t channels_size(const ChannelTable& table) noexcept {
    std::uint64_t size = 0;
    for (const Channel& channel : table.all()) size += sizeof(ChannelCommit) + 8 * channel.consumed.above.size();
    return size;
}

void write_channels(const ChannelTable& table, std::byte* to) noexcept {
    for (const Channel& channel : table.all()) {
        const ChannelCommit commit{channel.peer, static_cast<std::uint32_t>(channel.consumed.above.size()),
                                   channel.send_next, channel.consumed.low};
        std::memcpy(to, &commit, sizeof commit);
        to += sizeof commit;
        if (commit.above_count != 0)
            std::memcpy(to, channel.consumed.above.data(), 8 * std::size_t{commit.above_count});
        to += 8 * std::size_t{commit.above_count};
    }
}

void read_channels(const std::byte* from, std::uint64_t count, ChannelTable& table) {
    table = {};
    for (std::uint64_t index = 0; index < count; ++index) {
        const auto commit = load<ChannelCommit>(from);
        from += sizeof commit;
        Channel& channel = table.at(commit.peer);
        channel.send_next = commit.send_next;
        channel.consumed.low = commit.low;
        channel.consumed.above.resize(commit.above_count);
        if (commit.above_count != 0)
            std::memcpy(channel.consumed.above.data(), from, 8 * std::size_t{commit.above_count});
        from += 8 * std::size_t{commit.above_count};
    }
}

bool committed_contains(std::span<const std::byte> bytes, std::uint64_t count, std::uint32_t peer,
                        std::uint64_t sequence) noexcept {
    std::size_t at = 0;
    for (std::uint64_t index = 0; index < count && at + sizeof(ChannelCommit) <= bytes.size(); ++index) {
        const auto commit = load<ChannelCommit>(bytes.data() + at);
        at += sizeof commit;
        const std::size_t above_bytes = 8 * std::size_t{commit.above_count};
        if (commit.peer == peer) {
            if (sequence < commit.low) return true;
            for (std::size_t above = 0; above < above_bytes && at + above + 8 <= bytes.size(); above += 8)
                if (load<std::uint64_t>(bytes.data() + at + above) == sequence) return true;
            return false;
        }
        at += above_bytes;
    }
    return false;
}

}  // namespace phoenix
