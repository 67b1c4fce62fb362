#pragma once
/// The fault plan of the job (`--fault`, `--chaos`), as the members carry it out on themselves.

#include "runtime/member_context.hpp"

#include <cstdint>

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

  private:
    void look(std::uint64_t step, std::uint64_t steps);
    [[nodiscard]] bool meant(const FaultEntry& entry) const;

    const MemberContext* context_;
    bool armed_;
};

}  // namespace phoenix
