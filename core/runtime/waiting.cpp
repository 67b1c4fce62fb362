/// Waiting: of a VNode for what its step needs, of a member that has nothing to run.

#include "base/clock.hpp"
#include "messaging/doorbell.hpp"
#include "runtime/runtime_state.hpp"

#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace phoenix::detail {

namespace {

void pause_briefly() noexcept {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace

// Nobody else can run: waiting actively saves two switches when the message is on its way. Null if others are to run,
// or nothing came for a while: look again, then wait().
RecordRef DomainState::spin_for_message(VNodeState& self, std::uint32_t from, std::uint32_t tag) {
    const MemberContext& context = runtime_->context;
    const std::atomic<std::uint32_t>& attention = context.record().attention;
    Channel* channel = &self.channels.at(from);
    // A record that is just what is waited for is consumed where it lies; all others are filed first.
    const auto wanted = [&](const Record& record) {
        return record.destination == self.index && record.source == from && record.tag() == tag &&
               record.domain() == header_->index && record.generation() == generation_ &&
               channel->is_next(record.sequence);
    };
    std::uint64_t deadline = 0;
    for (unsigned look = 1;; ++look) {
        if (attention.load(std::memory_order_relaxed) != attention_seen_) return {};  // looked at by handle_news
        if (const RecordRef ref = runtime_->mail.take_if(wanted); ref.record != nullptr) {
            ++channel->consumed.low;
            return ref;
        }
        if (runtime_->mail.anything_new()) {
            runtime_->poll();
            channel = &self.channels.at(from);  // looked up anew: an arrival may have made a channel
            if (const auto ref = channel->take(tag)) return *ref;
            if (!ready_.empty()) return {};
        }
        if (!collective_waiters_.empty() &&
            header_->collective_news.load(std::memory_order_relaxed) != collective_seen_)
            return {};
        // Seldom: the clock and a pause take a good part of the time that a message needs from core to core.
        if (look % 512 != 0) continue;
        const std::uint64_t now = boot_time_ns();
        if (deadline == 0) deadline = now + context.settings.spin_ns;
        if (now > deadline) return {};
        pause_briefly();
    }
}

// Lets other VNodes run. Returns when there may be what `self` waits for; the caller looks again.
void DomainState::wait(VNodeState& self, WaitKind kind, std::uint32_t peer, std::uint32_t tag) {
    if (kind == WaitKind::message) {
        runtime_->poll();
        if (self.channels.at(peer).has(tag)) return;
    }
    self.wait_kind = kind;
    self.wait_peer = peer;
    self.wait_tag = tag;
    self.status = VNodeStatus::waiting;
    if (kind == WaitKind::all_reduce || kind == WaitKind::broadcast) collective_waiters_.push_back(&self);
    if (kind == WaitKind::memory) room_waiters_.push_back(&self);
    show_wait(self, kind, peer, tag);
    FiberPool::suspend();
    show_wait(self, WaitKind::none, 0, 0);
    self.wait_kind = WaitKind::none;
    throw_if_unwinding();
}

bool DomainState::resume_collective_waiters() {
    const std::uint64_t news = header_->collective_news.load(std::memory_order_acquire);
    if (news == collective_seen_) return false;
    collective_seen_ = news;
    for (VNodeState* waiter : std::exchange(collective_waiters_, {})) make_ready(*waiter);
    return true;
}

// Waits actively for a little while. True if there is something to do.
bool DomainState::spin() {
    const MemberContext& context = runtime_->context;
    if (context.oversubscribed) return false;
    const std::uint64_t deadline = boot_time_ns() + context.settings.spin_ns;
    for (unsigned look = 1;; ++look) {
        if (runtime_->poll() != 0 && !ready_.empty()) return true;
        if (context.record().attention.load(std::memory_order_acquire) != attention_seen_) return true;
        if (!collective_waiters_.empty() &&
            header_->collective_news.load(std::memory_order_acquire) != collective_seen_)
            return true;
        if (look % 64 == 0 && boot_time_ns() > deadline) return false;
        pause_briefly();
    }
}

void DomainState::idle() {
    const MemberContext& context = runtime_->context;
    MemberRecord& mine = context.record();
    mine.executing.store(0, std::memory_order_relaxed);  // read after a death only
    mine.waiting.store(1, std::memory_order_release);
    prepare_sleep(mine);
    const bool news = runtime_->mail.anything_new() ||
                      mine.attention.load(std::memory_order_acquire) != attention_seen_ ||
                      (!collective_waiters_.empty() &&
                       header_->collective_news.load(std::memory_order_acquire) != collective_seen_) ||
                      !ready_.empty();
    if (news) {
        cancel_sleep(mine);
    } else {
        const std::uint32_t before = mine.attention.load(std::memory_order_relaxed);  // compared only
        sleep_until_rung(mine, idle_look_ns);
        // Whatever woke us, everything is looked at again; owners too if nobody rang, because whoever changed them may
        // have died before ringing.
        if (mine.attention.load(std::memory_order_relaxed) == before) directory_seen_ = ~std::uint64_t{0};
        attention_seen_ = mine.attention.load(std::memory_order_acquire) - 1;
        collective_seen_ = ~std::uint64_t{0};  // whoever completed a round may have died before saying so
    }
    mine.waiting.store(0, std::memory_order_release);
}

}  // namespace phoenix::detail
