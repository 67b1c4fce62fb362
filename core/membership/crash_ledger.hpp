#pragma once
/// Rule 24: a VNode that crashes whoever executes it must not take the members one after the other.

#include "base/ids.hpp"

#include <array>
#include <cstdint>

namespace phoenix {

/// The step a member was executing when it died: what its record said.
struct CrashKey {
    std::uint32_t domain{};
    VNodeId vnode{};
    std::uint64_t step{};
    friend bool operator==(const CrashKey&, const CrashKey&) = default;
};

/// One death of an executor. Named by slot and incarnation, so that recording it twice (a coordinator died in between)
/// counts once.
struct ExecutorDeath {
    MemberSlot slot{};
    Incarnation incarnation{};
    std::int32_t signal{};  ///< As the handler stored it; 0 if unknown.
    bool own_fault{};       ///< Raised by the code of the step (SIGSEGV, SIGABRT, exit, ...), not sent from outside.
    friend bool operator==(const ExecutorDeath&, const ExecutorDeath&) = default;
};

inline constexpr std::uint32_t crash_limit_own_fault = 2;  ///< So many executors by their own fault end the run.
inline constexpr std::uint32_t crash_limit_any = 3;        ///< So many by anything end the run.

struct CrashEntry {
    CrashKey key{};
    std::uint32_t count{};  ///< Deaths recorded, up to crash_limit_any; 0: free entry.
    std::array<ExecutorDeath, crash_limit_any> deaths{};

    [[nodiscard]] std::uint32_t own_fault_count() const noexcept;
};

enum class CrashVerdict : std::uint8_t { go_on, ends_run };

/// `committed_steps`: number of steps of the VNode that are committed; step s has passed once it is above s, and then
/// the deaths are no longer held against the VNode.
[[nodiscard]] CrashVerdict verdict(const CrashEntry& entry, std::uint64_t committed_steps) noexcept;

/// Fixed-size table of entries; trivially copyable, one writer. Deaths may be recorded in any order: made anew from the
/// records of all the dead, it comes out the same.
struct CrashLedger {
    static constexpr std::uint32_t capacity = 256;  ///< As many as member slots: one entry each in the worst case.
    std::array<CrashEntry, capacity> entries{};
    std::uint32_t next_victim{};

    /// Records a death and returns the entry of `key`. A full table gives up its oldest entry.
    const CrashEntry& record(const CrashKey& key, const ExecutorDeath& death) noexcept;
};

}  // namespace phoenix
