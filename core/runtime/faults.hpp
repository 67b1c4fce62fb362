#pragma once
/// The fault plan of the job (`--fault`, `--chaos`), as the members carry it out on themselves.

#include "runtime/member_context.hpp"

#include <cstdint>
#include <utility>
#include <vector>

namespace phoenix {

/// Threads: the main thread.
class FaultWatch {
  public:
    explicit FaultWatch(const MemberContext& context) noexcept;
    /// Called when a VNode of this member starts `step` of a phase of `steps`; may not return (SIGKILL), or late
    /// (SIGSTOP).
    void at_step(std::uint64_t step, std::uint64_t steps) {
        if (armed_) look(step, steps);
    }
    /// A planned move that has come due: the pick of its receiver, plus one; 0 if there is none. Asked for once.
    [[nodiscard]] std::uint64_t take_move() noexcept { return std::exchange(move_wanted_, 0); }

  private:
    void look(std::uint64_t step, std::uint64_t steps);
    /// Whom a fault that picks somebody may meet.
    struct Candidates {
        /// Those that execute something, this one among them: a surplus member never starts a step and would never meet
        /// its fault.
        std::vector<std::uint32_t> slots;
        bool would_be_missed{};  ///< There is one member left, and nobody else who could go on.
    };
    [[nodiscard]] Candidates candidates() const;
    [[nodiscard]] const Candidates& recent_candidates();
    /// The one that was picked does not come, so whoever asks may take it.
    [[nodiscard]] bool is_overdue(const FaultEntry& entry);
    [[nodiscard]] LivenessTable liveness_of(const View& view) const;
    [[nodiscard]] bool is_next(const FaultEntry& entry);
    [[nodiscard]] bool meant(const FaultEntry& entry);
    void carry_out(const FaultEntry& entry);

    const MemberContext* context_;
    bool armed_;
    std::uint64_t move_wanted_{0};
    Candidates recent_;
    std::uint64_t looked_ns_{0};  ///< When they were found.
    const FaultEntry* awaited_{nullptr};
    std::uint64_t awaited_since_ns_{0};
};

}  // namespace phoenix
