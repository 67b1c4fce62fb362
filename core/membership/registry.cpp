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
        // Relaxed: the record is published after this bit by a release store on the slot's pointer; a reader that
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
    /// Every record there ever was; append-only, so that addresses stay.
    ConcurrentVector<RegisteredMember> records;
    /// Current record of each slot that was ever used.
    ConcurrentMap<std::uint32_t, std::atomic<const RegisteredMember*>> current;
    ConcurrentMap<std::string, SlotSet> by_capability;

    void publish(RegisteredMember member) {
        const RegisteredMember& record = *records.push_back(std::move(member));
        for (const std::string& capability : record.capabilities) {
            by_capability[capability].insert(record.slot);
        }
        // Pairs with the acquire load in find(): the record is complete for whoever sees the pointer.
        current[record.slot.value].store(&record, std::memory_order_release);
    }
};

MemberRegistry::MemberRegistry() : tables_(std::make_unique<Tables>()) {}
MemberRegistry::~MemberRegistry() = default;

const RegisteredMember* MemberRegistry::find(MemberSlot slot) const noexcept {
    const auto found = tables_->current.find(slot.value);
    // Pairs with the release store in publish().
    return found == tables_->current.end() ? nullptr : found->second.load(std::memory_order_acquire);
}

bool MemberRegistry::put(RegisteredMember member) {
    PHOENIX_CHECK(member.slot.value < member_count_max);
    const RegisteredMember* present = find(member.slot);
    if (present != nullptr && member.incarnation < present->incarnation) {
        return false;
    }
    const bool same = present != nullptr && present->incarnation == member.incarnation &&
                      present->state == member.state && present->pid == member.pid &&
                      present->capabilities == member.capabilities;
    if (!same) {
        tables_->publish(std::move(member));
    }
    return true;
}

bool MemberRegistry::set_state(MemberSlot slot, Incarnation incarnation, MemberState state) {
    const RegisteredMember* present = find(slot);
    if (present == nullptr || present->incarnation != incarnation) {
        return false;
    }
    RegisteredMember changed = *present;
    changed.state = state;
    return put(std::move(changed));
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
            const RegisteredMember* member = find(slot);
            if (member != nullptr && member->state == MemberState::active && member->has(capability)) {
                slots.push_back(slot);
            }
        }
    }
    return slots;
}

std::vector<MemberSlot> MemberRegistry::active_members() const {
    std::vector<MemberSlot> slots;
    for (const auto& [slot, pointer] : tables_->current) {
        const RegisteredMember* member = pointer.load(std::memory_order_acquire);  // pairs with publish()
        if (member != nullptr && member->state == MemberState::active) {
            slots.push_back(MemberSlot{slot});
        }
    }
    std::sort(slots.begin(), slots.end());
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
