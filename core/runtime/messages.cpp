#include "messaging/doorbell.hpp"
#include "runtime/runtime_state.hpp"

#include <cstring>
#include <fmt/format.h>
#include <xxhash.h>

namespace phoenix::detail {

void DomainState::check_peer(const VNodeState& self, const char* call, std::uint32_t peer, std::uint32_t tag) const {
    throw_if_unwinding();
    if (initialising_ || peer >= options_.vnodes || tag >= tag_end) [[unlikely]]
        refuse_peer(self, call, peer, tag);
}

void DomainState::refuse_peer(const VNodeState& self, const char* call, std::uint32_t peer, std::uint32_t tag) const {
    if (initialising_)
        fail_at(self, Errc::wrong_state,
                fmt::format("{} is not allowed in initialise(): messages belong to steps", call));
    if (peer >= options_.vnodes)
        fail_at(self, Errc::invalid_argument,
                fmt::format("{} names VNode {}, but the domain has VNodes 0 to {}", call, peer, options_.vnodes - 1));
    fail_at(self, Errc::invalid_argument, fmt::format("{} uses tag {}; tags are 0 to {}", call, tag, tag_end - 1));
}

void DomainState::send(VNodeState& self, std::uint32_t to, std::uint32_t tag, const void* data, std::uint64_t size,
                       ExtentId extent) {
    check_peer(self, "send", to, tag);
    if (runtime_->pool.held_bytes() > runtime_->context.settings.log_memory_soft) wait_for_room(self, to);
    Channel& channel = self.channels.at(to);
    const RecordHead head{self.index, to, tag, self.serial, channel.send_next, header_->index, generation_};
    ++channel.send_next;
    auto sent = extent != 0 ? runtime_->mail.send_extent(word(to), head, extent, size)
                            : runtime_->mail.send(word(to), head, data, size);
    if (!sent) runtime_->raise(sent.error());
    if (self.trace)
        note(self, {0, to, tag, 0, size, XXH3_64bits(extent != 0 ? runtime_->pool.data(extent) : data, size)});
}

// More than log_memory_soft is retained. Rule 2: receivers are asked to commit, others run meanwhile; when nobody here
// can run the pool grows, up to log_memory_max.
void DomainState::wait_for_room(VNodeState& self, std::uint32_t to) {
    const Settings& settings = runtime_->context.settings;
    runtime_->sweep();
    if (runtime_->pool.held_bytes() <= settings.log_memory_soft) return;
    runtime_->mail.for_each_retained([&](const Record& retained) {
        if (retained.domain() == header_->index)
            record(retained.destination).commit_wanted.store(1, std::memory_order_relaxed);
    });
    if (!ready_.empty()) wait(self, WaitKind::memory, to, 0);
    runtime_->sweep();
    if (runtime_->pool.held_bytes() <= settings.log_memory_max) return;
    fail_at(self, Errc::no_memory,
            fmt::format("the channel to VNode {} cannot take more: this member retains {} MiB of messages that their "
                        "receivers have not committed; "
                        "raise --log-memory-max (now {} MiB), send less per step, or commit more often",
                        to, runtime_->pool.held_bytes() >> 20, settings.log_memory_max >> 20));
}

RecordRef DomainState::receive(VNodeState& self, std::uint32_t from, std::uint32_t tag) {
    check_peer(self, "receive", from, tag);
    for (;;) {
        if (const auto ref = self.channels.at(from).take(tag)) {
            self.consumed.push_back(*ref);
            return *ref;
        }
        if (ready_.empty() && !runtime_->context.oversubscribed) {
            if (const RecordRef ref = spin_for_message(self, from, tag); ref.record != nullptr) {
                self.consumed.push_back(ref);
                return ref;
            }
        }
        wait(self, WaitKind::message, from, tag);
    }
}

RecordRef DomainState::receive_any(VNodeState& self, std::uint32_t tag) {
    check_peer(self, "view_any", 0, tag);
    if (options_.recovery != Recovery::global)
        fail_at(self, Errc::wrong_state,
                "view_any needs a domain with recovery = global: the order of arrival is not repeated after a death");
    for (;;) {
        for (Channel& channel : self.channels.all())
            if (const auto ref = channel.take(tag)) {
                self.consumed.push_back(*ref);
                return *ref;
            }
        wait(self, WaitKind::any_message, 0, tag);
    }
}

bool DomainState::probe(VNodeState& self, std::uint32_t from, std::uint32_t tag) {
    check_peer(self, "probe", from, tag);
    if (options_.recovery != Recovery::global)
        fail_at(self, Errc::wrong_state,
                "probe needs a domain with recovery = global: what has arrived is not repeated after a death");
    runtime_->poll();
    return self.channels.at(from).has(tag);
}

void DomainState::arrive(const RecordRef& ref) {
    const Record& record = *ref.record;
    VNodeState* self = states_[record.destination].get();
    // Somebody else's by now, or ours and not loaded yet: its owner finds the record by its scan.
    if (self == nullptr) return;
    if (record.generation() != generation_) {
        if (record.generation() > generation_) return;  // held: found by the scan after our own rollback
        if (!belongs_to_now(record)) return ref.release();
        if (ref.released()) return;
    }
    file(*self, self->channels.at(record.source), ref);
}

// A record of an older generation counts if it was sent at or before the cut that this generation began with.
bool DomainState::belongs_to_now(const Record& record) const noexcept {
    return record.generation() == generation_ || record.serial < cut_serial_;
}

void DomainState::file(VNodeState& self, Channel& channel, const RecordRef& ref) {
    const std::uint64_t sequence = ref.record->sequence;
    const bool newest = channel.empty() || channel.pending.back().record->sequence < sequence;
    if (sequence < channel.consumed.low || (!channel.consumed.above.empty() && channel.consumed.contains(sequence)) ||
        (!newest && channel.find_pending(sequence) != nullptr))
        return drop_duplicate(self, channel, ref);
    channel.insert(ref);
    if (self.status != VNodeStatus::waiting) return;
    const bool wanted = (self.wait_kind == WaitKind::message && self.wait_peer == ref.record->source &&
                         self.wait_tag == ref.record->tag()) ||
                        (self.wait_kind == WaitKind::any_message && self.wait_tag == ref.record->tag());
    if (wanted || (self.wait_kind == WaitKind::message && self.wait_peer == ref.record->source && !newest))
        make_ready(self);
}

// The same record by another way (scan and log), or sent again by a repeated step. The latter is compared with its
// original while that is still there, and given back at once: the original stays until the commit.
void DomainState::drop_duplicate(VNodeState& self, const Channel& channel, const RecordRef& ref) {
    const std::uint64_t sequence = ref.record->sequence;
    if (const RecordRef* pending = channel.find_pending(sequence); pending != nullptr) {
        if (pending->record == ref.record) return;
        compare_duplicate(self, *pending, ref);
        return ref.release();
    }
    for (const std::vector<RecordRef>* list : {&self.consumed, &self.held})
        for (const RecordRef& consumed : *list) {
            if (consumed.record->source != ref.record->source || consumed.record->sequence != sequence) continue;
            if (consumed.record == ref.record) return;
            compare_duplicate(self, consumed, ref);
            return ref.release();
        }
    // Its consumption is committed. With global recovery that cut may not be closed yet.
    if (options_.recovery == Recovery::global) {
        self.held.push_back(ref);
    } else {
        ref.release();
    }
}

void DomainState::compare_duplicate(const VNodeState& self, const RecordRef& original, const RecordRef& again) const {
    if (options_.recovery == Recovery::global) return;
    const Record& a = *original.record;
    const Record& b = *again.record;
    const bool same = a.tag() == b.tag() && a.payload_size() == b.payload_size() &&
                      (a.payload_size() == 0 || std::memcmp(payload_of(a, runtime_->pool),
                                                            payload_of(b, runtime_->pool), a.payload_size()) == 0);
    if (same) return;
    runtime_->context.fail(Errc::not_deterministic,
                           fmt::format("VNode {} of domain '{}' did not do the same again when its step {} was "
                                       "repeated: its message {} to VNode {} (tag {}, {} bytes) "
                                       "became one with tag {} and {} bytes or other content. A step must be a "
                                       "function of fields, messages, step() and random(); "
                                       "--verify-replay finds the place.",
                                       a.source, name_, a.serial, a.sequence, self.index, a.tag(), a.payload_size(),
                                       b.tag(), b.payload_size()));
}

}  // namespace phoenix::detail
