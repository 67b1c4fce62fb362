#include "membership/crash_ledger.hpp"

#include <algorithm>
#include <type_traits>

namespace phoenix {

static_assert(std::is_trivially_copyable_v<CrashLedger>);

std::uint32_t CrashEntry::own_fault_count() const noexcept {
    const auto last = deaths.begin() + std::min<std::uint32_t>(count, crash_limit_any);
    return static_cast<std::uint32_t>(
        std::count_if(deaths.begin(), last, [](const ExecutorDeath& death) { return death.own_fault; }));
}

CrashVerdict verdict(const CrashEntry& entry, std::uint64_t committed_steps) noexcept {
    if (entry.count == 0 || committed_steps > entry.key.step) {
        return CrashVerdict::go_on;
    }
    const bool ends = entry.own_fault_count() >= crash_limit_own_fault || entry.count >= crash_limit_any;
    return ends ? CrashVerdict::ends_run : CrashVerdict::go_on;
}

const CrashEntry& CrashLedger::record(const CrashKey& key, const ExecutorDeath& death) noexcept {
    CrashEntry* entry = nullptr;
    for (CrashEntry& candidate : entries) {
        if (candidate.count != 0 && candidate.key == key) {
            entry = &candidate;
            break;
        }
        if (candidate.count == 0 && entry == nullptr) {
            entry = &candidate;
        }
    }
    if (entry == nullptr) {
        entry = &entries[next_victim];
        next_victim = (next_victim + 1) % capacity;
        entry->count = 0;
    }
    if (entry->count == 0) {
        *entry = CrashEntry{key, 0, {}};
    }
    const auto last = entry->deaths.begin() + entry->count;
    const bool known = std::any_of(entry->deaths.begin(), last, [&](const ExecutorDeath& old) {
        return old.slot == death.slot && old.incarnation == death.incarnation;
    });
    if (!known && entry->count < crash_limit_any) {
        entry->deaths[entry->count] = death;
        ++entry->count;
    }
    return *entry;
}

}  // namespace phoenix
