#include "runtime/vacating.hpp"

#include "messaging/doorbell.hpp"

namespace phoenix {

namespace {

bool takes_part_in(const View& view, std::uint32_t slot) noexcept {
    const MemberState state = view.members[slot].state;
    return state == MemberState::active || state == MemberState::draining;
}

/// Looks through the logs between the slots of the gone and all others.
class LogSearch {
  public:
    LogSearch(const MemberContext& context, const View& view) noexcept : context_(context), view_(view) {}

    /// True if a member has not left a log of `gone`, or not closed one towards it.
    bool any_of(std::uint32_t gone) {
        bool any = false;
        for (std::uint32_t other = 0; other < member_count_max; ++other) {
            // Both acquire: pair with the stores by which members leave logs (Mailroom::follow).
            auto& from = context_.segment().log_head(other, gone);
            auto& towards = context_.segment().log_head(gone, other);
            if (from.load(std::memory_order_acquire) == 0 && towards.load(std::memory_order_acquire) == 0) continue;
            if (takes_part_in(view_, other)) {
                any = true;
                in_the_way_[other] = true;
            } else if (view_.members[other].state != MemberState::empty) {
                // Nobody reads them or writes to them. Relaxed: ordered by the release of the slot.
                from.store(0, std::memory_order_relaxed);
                towards.store(0, std::memory_order_relaxed);
            }
        }
        return any;
    }
    /// They may have no other news for long.
    void ring() const noexcept {
        for (std::uint32_t slot = 0; slot < member_count_max; ++slot)
            if (in_the_way_[slot]) ring_attention(context_.segment().member(slot));
    }

  private:
    const MemberContext& context_;
    const View& view_;
    std::array<bool, member_count_max> in_the_way_{};
};

}  // namespace

RemainsTable find_remains(const MemberContext& context, const View& view, const SweepResult& swept) {
    RemainsTable remains;
    const ControlHeader& header = context.header();
    const auto agent = static_cast<pid_t>(header.agent_pid.load(std::memory_order_acquire));
    const bool launcher = agent != 0 && is_alive({agent, header.agent_start_time});
    LogSearch logs{context, view};
    // Whoever makes a log towards one of these slots and does not see this view after that is seen here: pairs with the
    // fence in Mailroom::settled.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberEntry& entry = view.members[slot];
        if (entry.state != MemberState::retired) continue;
        const MemberRecord& record = context.segment().member(slot);
        // Pairs with the launcher's release store: it has read the record.
        const bool collected = record.collected.load(std::memory_order_acquire) == entry.incarnation.value;
        remains[slot] = {launcher && !collected, logs.any_of(slot), swept.in_logs[slot]};
    }
    logs.ring();
    return remains;
}

}  // namespace phoenix
