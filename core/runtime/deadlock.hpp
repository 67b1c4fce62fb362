#pragma once
/// The deadlock verdict: every VNode waits and nothing is in flight (rule 26).

#include "membership/view.hpp"
#include "runtime/member_context.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace phoenix {

/// Used by the coordinator's service thread. A member that has nothing to run sets `waiting` and sleeps; `activity`
/// counts what it did. Verdict: all ACTIVE members sleep, all are rung, and after the confirmation time all sleep again
/// with the same activity, in the same view with nobody joining: so whatever might have been overlooked was looked at
/// once more.
class DeadlockWatch {
  public:
    explicit DeadlockWatch(const MemberContext& context) noexcept : context_(&context) {}
    /// The sentence of the verdict: who waits for whom, which tag, since which step.
    [[nodiscard]] std::optional<std::string> look(const View& view, std::uint64_t now_ns);

  private:
    struct Pass {
        std::uint64_t view{0};
        std::uint64_t activity{0};
        std::uint64_t since_ns{0};
        friend bool operator==(const Pass&, const Pass&) = default;
    };
    [[nodiscard]] std::optional<Pass> all_asleep(const View& view, std::uint64_t now_ns) const;
    [[nodiscard]] std::optional<std::string> describe() const;

    const MemberContext* context_;
    std::optional<Pass> first_;
};

/// "VNode 3 waits for a message from VNode 4 with tag 7 in step 12"; empty if it does not wait.
[[nodiscard]] std::string describe_wait(const VNodeRecord& record, std::uint32_t vnode);

}  // namespace phoenix
