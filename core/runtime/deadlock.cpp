#include "runtime/deadlock.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

namespace phoenix {

namespace {

constexpr std::size_t waits_shown_max = 4;

WaitKind kind_of(std::uint64_t wait) noexcept { return static_cast<WaitKind>(wait & 0xFF); }

}  // namespace

std::string describe_wait(const VNodeRecord& record, std::uint32_t vnode) {
    const std::uint64_t wait = record.wait.load(std::memory_order_acquire);
    const std::uint64_t step = record.wait_step.load(std::memory_order_relaxed);  // for people
    const auto tag = static_cast<std::uint32_t>(wait >> 8) & 0xFFFFFF;
    const auto peer = static_cast<std::uint32_t>(wait >> 32);
    switch (kind_of(wait)) {
        case WaitKind::message:
            return fmt::format("VNode {} waits for a message from VNode {} with tag {} in step {}", vnode, peer, tag,
                               step);
        case WaitKind::any_message:
            return fmt::format("VNode {} waits for any message with tag {} in step {}", vnode, tag, step);
        case WaitKind::all_reduce:
            return fmt::format("VNode {} waits in all_reduce or barrier {} in step {}", vnode, peer, step);
        case WaitKind::broadcast: return fmt::format("VNode {} waits for broadcast {} in step {}", vnode, peer, step);
        case WaitKind::memory:
            return fmt::format("VNode {} waits for room to send to VNode {} in step {}", vnode, peer, step);
        case WaitKind::gate:
            return fmt::format("VNode {} waits for the others to reach step {} of a checkpoint or cut", vnode, step);
        case WaitKind::none: break;
    }
    return {};
}

std::optional<DeadlockWatch::Pass> DeadlockWatch::all_asleep(const View& view, std::uint64_t now_ns) const {
    Pass pass{view.number.value, 0, now_ns};
    bool any = false;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberState state = view.members[slot].state;
        if (state == MemberState::joining) return std::nullopt;
        if (state != MemberState::active && state != MemberState::draining) continue;
        const MemberRecord& record = context_->segment().member(slot);
        if (record.waiting.load(std::memory_order_acquire) == 0 || record.sleeping.load(std::memory_order_acquire) == 0)
            return std::nullopt;
        pass.activity += record.activity.load(std::memory_order_acquire);
        any = true;
    }
    return any ? std::optional{pass} : std::nullopt;
}

std::optional<std::string> DeadlockWatch::look(const View& view, std::uint64_t now_ns) {
    const auto pass = all_asleep(view, now_ns);
    if (!pass || (first_ && (first_->view != pass->view || first_->activity != pass->activity))) first_.reset();
    if (!pass) return std::nullopt;
    if (!first_) {
        first_ = pass;
        // Everybody looks at everything once more; what was overlooked shows as activity.
        context_->ring_all();
        return std::nullopt;
    }
    if (now_ns - first_->since_ns < std::uint64_t{context_->settings.deadlock_confirm_ms} * 1'000'000)
        return std::nullopt;
    return describe();
}

std::optional<std::string> DeadlockWatch::describe() const {
    std::string shown;
    std::size_t waiting = 0;
    for (std::uint32_t index = 0; index < domain_count_max; ++index) {
        const DomainHeader* domain = context_->domain_header(index);
        if (domain == nullptr) continue;
        std::vector<std::uint32_t> order;
        for (std::uint32_t v = 0; v < domain->vnodes; ++v)
            if (kind_of(context_->vnode_record(*domain, v).wait.load(std::memory_order_acquire)) != WaitKind::none)
                order.push_back(v);
        waiting += order.size();
        // Follows who waits for whom from the first, so that a cycle shows as one.
        for (std::size_t next = 0, at = 0; next < waits_shown_max && at < order.size(); ++next) {
            std::swap(order[next], order[at]);
            const VNodeRecord& record = context_->vnode_record(*domain, order[next]);
            shown += fmt::format("{}{}", shown.empty() ? "" : "; ", describe_wait(record, order[next]));
            const std::uint64_t wait = record.wait.load(std::memory_order_acquire);
            const auto peer = static_cast<std::uint32_t>(wait >> 32);
            const auto found = kind_of(wait) == WaitKind::message
                                   ? std::find(order.begin() + static_cast<std::ptrdiff_t>(next) + 1, order.end(), peer)
                                   : order.begin() + static_cast<std::ptrdiff_t>(std::min(next + 1, order.size()));
            if (found == order.end()) break;
            at = static_cast<std::size_t>(found - order.begin());
        }
    }
    if (waiting == 0) return std::nullopt;
    return fmt::format(
        "Deadlock: all VNodes wait or have finished and nothing is in flight: {}{}. Check who sends what in these "
        "steps.",
        shown, waiting > waits_shown_max ? fmt::format("; {} wait in all", waiting) : std::string{});
}

}  // namespace phoenix
