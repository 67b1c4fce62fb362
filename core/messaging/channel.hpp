#pragma once
/// A VNode's channels: what it sent to and consumed from each other VNode, and the records waiting to be consumed.
///
/// Tags are consumed out of order, so a cursor does not do: consumption is a *set*, the lowest unconsumed sequence and
/// the consumed ones above it (rule 1). The set is what commits store and what decides about duplicates and release.

#include "messaging/log.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace phoenix {

/// Sequences consumed on a channel: all below `low`, and `above` (sorted).
struct ConsumedSet {
    std::uint64_t low{0};
    std::vector<std::uint64_t> above;

    [[nodiscard]] bool contains(std::uint64_t sequence) const noexcept {
        return sequence < low || (!above.empty() && std::binary_search(above.begin(), above.end(), sequence));
    }
    void add(std::uint64_t sequence) {
        if (sequence == low && above.empty()) {
            ++low;
            return;
        }
        above.insert(std::lower_bound(above.begin(), above.end(), sequence), sequence);
        std::size_t joined = 0;
        while (joined < above.size() && above[joined] == low) ++low, ++joined;
        above.erase(above.begin(), above.begin() + static_cast<std::ptrdiff_t>(joined));
    }
};

/// Both directions between one VNode and one peer.
struct Channel {
    std::uint32_t peer{0};
    std::uint64_t send_next{0};
    ConsumedSet consumed;
    std::vector<RecordRef> pending;  ///< Arrived, not consumed; sorted by sequence, each sequence once.
    std::size_t pending_head{0};     ///< Those before it are gone.

    /// Where the record of `sequence` waits, if it does.
    [[nodiscard]] const RecordRef* find_pending(std::uint64_t sequence) const noexcept;
    /// Files a record; the caller has made sure that its sequence is neither consumed nor pending.
    void insert(const RecordRef& ref) {
        if (empty()) {
            pending.clear();
            pending_head = 0;
        }
        if (pending.empty() || pending.back().record->sequence < ref.record->sequence) {
            pending.push_back(ref);
        } else {
            insert_among(ref);
        }
    }
    /// Whether `sequence` is the lowest that has not come, and nothing above it has.
    [[nodiscard]] bool is_next(std::uint64_t sequence) const noexcept {
        return sequence == consumed.low && empty() && consumed.above.empty();
    }
    /// Takes the first record with `tag`, all before it on the channel having arrived; consumes it.
    [[nodiscard]] std::optional<RecordRef> take(std::uint32_t tag) {
        if (empty()) return std::nullopt;
        const auto index = find(tag);
        return index ? std::optional{remove(*index)} : std::nullopt;
    }
    /// Takes the next record whatever its tag, unless one before it is missing; consumes it.
    [[nodiscard]] std::optional<RecordRef> take_next();
    /// Whether take(tag) would succeed.
    [[nodiscard]] bool has(std::uint32_t tag) const noexcept { return find(tag).has_value(); }
    [[nodiscard]] bool empty() const noexcept { return pending_head == pending.size(); }

  private:
    void insert_among(const RecordRef& ref);
    [[nodiscard]] std::optional<std::size_t> find(std::uint32_t tag) const noexcept;
    [[nodiscard]] RecordRef remove(std::size_t index);
};

/// The channels of one VNode, found by peer. Few as a rule: searched in line, indexed beyond 16.
class ChannelTable {
  public:
    [[nodiscard]] Channel& at(std::uint32_t peer) {
        Channel* const channels = channels_.data();
        for (std::uint32_t index = 0; index < linear_count_; ++index)
            if (channels[index].peer == peer) return channels[index];
        return at_indexed(peer);
    }
    [[nodiscard]] std::vector<Channel>& all() noexcept { return channels_; }
    [[nodiscard]] const std::vector<Channel>& all() const noexcept { return channels_; }

  private:
    static constexpr std::uint32_t linear_max = 16;
    [[nodiscard]] Channel& at_indexed(std::uint32_t peer);

    std::vector<Channel> channels_;
    std::uint32_t linear_count_{0};  ///< Those searched in line: the first linear_max.
    std::unordered_map<std::uint32_t, std::uint32_t> index_;
};

/// A channel as a commit stores it, followed by `above_count` sequences.
struct ChannelCommit {
    std::uint32_t peer;         //  0
    std::uint32_t above_count;  //  4
    std::uint64_t send_next;    //  8
    std::uint64_t low;          // 16
};
static_assert(sizeof(ChannelCommit) == 24);

/// Bytes that write_channels() will write.
[[nodiscard]] std::uint64_t channels_size(const ChannelTable& table) noexcept;
void write_channels(const ChannelTable& table, std::byte* to) noexcept;
/// Replaces the table by what a commit stored; nothing is pending.
void read_channels(const std::byte* from, std::uint64_t count, ChannelTable& table);
/// Whether the commit in `bytes` says that `sequence` from `peer` is consumed; false if it knows no such channel. Reads
/// nothing outside `bytes`, whatever stands there: the owner may be writing the next commit.
[[nodiscard]] bool committed_contains(std::span<const std::byte> bytes, std::uint64_t count, std::uint32_t peer,
                                      std::uint64_t sequence) noexcept;

}  // namespace phoenix
