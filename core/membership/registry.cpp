#include "membership/registry.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <functional>
#include <tbb/concurrent_unordered_map.h>
#include <tbb/concurrent_vector.h>
#include <utility>

namespace phoenix {

bool RegisteredMember::has(std::string_view capability) const noexcept {
    return std::find(capabilities.begin(), capabilities.end(), capability) != capabilities.end();
}

namespace {

// std::allocator in place of oneTBB's: memory recycled by a library that is not instrumented looks like a race to the
// thread sanitizer, and registries are too small and too rarely changed to profit from a scalable allocator.
template <typename Key, typename Value>
using ConcurrentMap = tbb::concurrent_unordered_map<Key, Value, std::hash<Key>, std::equal_to<Key>,
                                                    std::allocator<std::pair<const Key, Value>>>;
template <typename Value>
using ConcurrentVector = tbb::concurrent_vector<Value, std::allocator<Value>>;

/// Slots, one bit each; bits are only ever set.
class SlotSet {
  public:
    void insert(MemberSlot slot) noexcept {
        // Relaxed: the record is published after this bit by a release store on the slot's word; a reader that
        // misses the bit reads as if it had come before that member.
        words_[slot.value / 64].fetch_or(std::uint64_t{1} << (slot.value % 64), std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t word(std::size_t index) const noexcept {
        return words_[index].load(std::memory_order_relaxed);  // a hint: the record behind it decides
    }
    static constexpr std::size_t word_count = member_count_max / 64;

  private:
    std::array<std::atomic<std::uint64_t>, word_count> words_{};
};

}  // namespace

struct MemberRegistry::Tables {
    /// A member in one word: incarnation 32 bits (63..32), list of capabilities 7 (31..25), pid 22 (24..3), state 3.
    /// 0: nobody was ever registered, because no member has state `empty`.
    using Word = std::uint64_t;
    static constexpr std::uint32_t pid_bits = 22;  // Linux gives out no higher pids
    static_assert(capability_lists_max == std::size_t{1} << 7U);

    std::array<std::atomic<Word>, member_count_max> members{};
    /// Every list there ever was; append-only, so that addresses stay.
    ConcurrentVector<std::vector<std::string>> lists;
    ConcurrentMap<std::string, SlotSet> by_capability;

    [[nodiscard]] Word word(MemberSlot slot) const noexcept {
        // Pairs with the release store in publish(): the list is complete for whoever sees the word.
        return members.at(slot.value).load(std::memory_order_acquire);
    }
    [[nodiscard]] static MemberState state_of(Word word) noexcept { return static_cast<MemberState>(word & 7U); }
    [[nodiscard]] static Incarnation incarnation_of(Word word) noexcept {
        return Incarnation{static_cast<std::uint32_t>(word >> 32U)};
    }
    [[nodiscard]] const std::vector<std::string>& capabilities_of(Word word) const {
        return lists[word >> 25U & 0x7FU];
    }
    [[nodiscard]] bool has(Word word, std::string_view capability) const {
        const std::vector<std::string>& list = capabilities_of(word);
        return std::find(list.begin(), list.end(), capability) != list.end();
    }

    /// Index of the list, making it if there is none; nothing if there are too many.
    std::optional<std::size_t> list_of(const std::vector<std::string>& capabilities) {
        for (std::size_t index = 0; index < lists.size(); ++index) {
            if (lists[index] == capabilities) {
                return index;
            }
        }
        if (lists.size() == capability_lists_max) {
            return std::nullopt;
        }
        return static_cast<std::size_t>(lists.push_back(capabilities) - lists.begin());
    }

    void publish(const RegisteredMember& member, std::size_t list) {
        for (const std::string& capability : member.capabilities) {
            by_capability[capability].insert(member.slot);
        }
        const Word word = Word{member.incarnation.value} << 32U | Word{list} << 25U |
                          (static_cast<Word>(member.pid) & ((1U << pid_bits) - 1)) << 3U |
                          static_cast<Word>(member.state);
        members[member.slot.value].store(word, std::memory_order_release);
    }
};

MemberRegistry::MemberRegistry() : tables_(std::make_unique<Tables>()) {}
MemberRegistry::~MemberRegistry() = default;

std::optional<RegisteredMember> MemberRegistry::find(MemberSlot slot) const {
    const Tables::Word word = tables_->word(slot);
    if (word == 0) {
        return std::nullopt;
    }
    const auto pid = static_cast<pid_t>(word >> 3U & ((1U << Tables::pid_bits) - 1));
    return RegisteredMember{slot, Tables::state_of(word), Tables::incarnation_of(word), pid,
                            tables_->capabilities_of(word)};
}

bool MemberRegistry::put(const RegisteredMember& member) {
    PHOENIX_CHECK(member.slot.value < member_count_max && member.state != MemberState::empty);
    const Tables::Word present = tables_->word(member.slot);
    if (present != 0 && member.incarnation < Tables::incarnation_of(present)) {
        return false;
    }
    const std::optional<std::size_t> list = tables_->list_of(member.capabilities);
    if (!list) {
        return false;
    }
    tables_->publish(member, *list);
    return true;
}

bool MemberRegistry::set_state(MemberSlot slot, Incarnation incarnation, MemberState state) {
    std::optional<RegisteredMember> present = find(slot);
    if (!present || present->incarnation != incarnation) {
        return false;
    }
    if (present->state == state) {
        return true;
    }
    present->state = state;
    return put(*present);
}

std::vector<MemberSlot> MemberRegistry::members_with(std::string_view capability) const {
    std::vector<MemberSlot> slots;
    const auto found = tables_->by_capability.find(std::string{capability});
    if (found == tables_->by_capability.end()) {
        return slots;
    }
    for (std::size_t index = 0; index < SlotSet::word_count; ++index) {
        for (std::uint64_t bits = found->second.word(index); bits != 0; bits &= bits - 1) {
            const MemberSlot slot{static_cast<std::uint32_t>(index * 64 + std::countr_zero(bits))};
            const Tables::Word word = tables_->word(slot);
            if (word != 0 && Tables::state_of(word) == MemberState::active && tables_->has(word, capability)) {
                slots.push_back(slot);
            }
        }
    }
    return slots;
}

std::vector<MemberSlot> MemberRegistry::active_members() const {
    std::vector<MemberSlot> slots;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        if (Tables::state_of(tables_->word(MemberSlot{slot})) == MemberState::active) {
            slots.push_back(MemberSlot{slot});
        }
    }
    return slots;
}

struct DomainRegistry::Tables {
    ConcurrentMap<std::string, RegisteredDomain> by_name;
};

DomainRegistry::DomainRegistry() : tables_(std::make_unique<Tables>()) {}
DomainRegistry::~DomainRegistry() = default;

const RegisteredDomain& DomainRegistry::add(RegisteredDomain domain) {
    std::string name = domain.name;
    return tables_->by_name.emplace(std::move(name), std::move(domain)).first->second;
}

const RegisteredDomain* DomainRegistry::find(std::string_view name) const {
    const auto found = tables_->by_name.find(std::string{name});
    return found == tables_->by_name.end() ? nullptr : &found->second;
}

}  // namespace phoenix
