#include "runtime/space_state.hpp"

#include "messaging/doorbell.hpp"
#include "runtime/runtime_state.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace phoenix::detail {

SpaceState::SpaceState(RuntimeState& runtime, std::string name, const SpaceOptions& options)
    : runtime_(&runtime), name_(std::move(name)), options_(options) {
    seal();
}

void SpaceState::seal() {
    const MemberContext& context = runtime_->context;
    const std::string made = runtime_->once(fmt::format("space/{}", name_), [&] {
        const auto reserve = [&](std::uint64_t bytes) {
            auto place = context.arena().reserve(bytes);
            if (!place) runtime_->raise(place.error());
            return *place;
        };
        const std::uint64_t offset = reserve(sizeof(DomainHeader));
        auto& header = context.arena().object<DomainHeader>(offset);
        header.kind = static_cast<std::uint32_t>(DomainKind::space);
        header.vnodes = options_.vnodes;
        header.layout_hash = options_.vnodes;
        header.slot_size = sizeof(CommitSlot);
        header.record_stride = sizeof(VNodeRecord) + 2 * sizeof(CommitSlot);
        std::memcpy(header.name.data(), name_.data(), std::min(name_.size(), header.name.size() - 1));
        header.directory_offset = reserve(std::uint64_t{options_.vnodes} * 8);
        header.records_offset = reserve(std::uint64_t{options_.vnodes} * header.record_stride);
        (void)runtime_->publish_domain(offset, header);
        return std::string{reinterpret_cast<const char*>(&offset), sizeof offset};
    });
    std::uint64_t offset = 0;
    std::memcpy(&offset, made.data(), sizeof offset);
    header_ = &context.arena().object<DomainHeader>(offset);
    if (header_->vnodes != options_.vnodes)
        context.fail(
            Errc::mismatch,
            fmt::format(
                "Space '{}' has {} VNodes here and {} in another member: main must be the same in every process.",
                name_, options_.vnodes, header_->vnodes));
    states_.resize(options_.vnodes);
    runtime_->space_by_index[header_->index] = this;
}

VNodeRecord& SpaceState::record(std::uint32_t vnode) const noexcept {
    return runtime_->context.vnode_record(*header_, vnode);
}
AtomicDirectoryWord& SpaceState::word(std::uint32_t vnode) const noexcept {
    return runtime_->context.directory_word(*header_, vnode);
}

void SpaceState::check_vnode(const char* call, std::uint32_t vnode) const {
    if (vnode >= options_.vnodes)
        throw Error{Errc::invalid_argument, fmt::format("{} names VNode {}, but space '{}' has VNodes 0 to {}.", call,
                                                        vnode, name_, options_.vnodes - 1)};
}

std::vector<std::uint32_t> SpaceState::assume(std::span<const std::uint32_t> vnodes) {
    runtime_->context.throw_if_ended();
    std::vector<std::uint32_t> taken;
    for (const std::uint32_t v : vnodes) {
        check_vnode("assume", v);
        DirectoryWord at{word(v).load(std::memory_order_acquire)};
        // One compare-and-swap decides between members that want it. Sequentially consistent, before the scan (rule 3).
        if (!at.assigned() &&
            word(v).compare_exchange_strong(at.bits, at.assumed_by(MemberSlot{runtime_->context.slot}).bits))
            taken.push_back(v);
    }
    if (!taken.empty()) load(taken);
    return taken;
}

void SpaceState::load(const std::vector<std::uint32_t>& vnodes) {
    const ExtentPool& pool = runtime_->pool;
    for (const std::uint32_t v : vnodes) {
        states_[v] = std::make_unique<Assumed>();
        VNodeRecord& shared = record(v);
        states_[v]->commit_number = shared.select.load(std::memory_order_acquire);
        const CommitSlot& slot = slot_of(shared, *header_, states_[v]->commit_number);
        if (states_[v]->commit_number != 0 && slot.channel_extent != 0)
            read_channels(pool.data(slot.channel_extent), slot.channel_count, states_[v]->channels);
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    pool.for_each([&](ExtentId id, std::uint64_t owner_word, const ExtentOwner& owner) {
        if (owner.kind != ExtentKind::chunk) return;
        scan_chunk(pool, id, owner_word, [&](const RecordRef& ref, const Record& head) {
            if (head.domain() != header_->index || head.destination >= options_.vnodes || !states_[head.destination] ||
                ref.released())
                return;
            file(head.destination, ref);
        });
    });
    for (const std::uint32_t v : vnodes) {
        DirectoryWord at{word(v).load(std::memory_order_acquire)};
        if (at.state() != OwnerState::active)
            word(v).compare_exchange_strong(at.bits, at.activated().bits, std::memory_order_acq_rel);
    }
}

void SpaceState::release(std::span<const std::uint32_t> vnodes) {
    for (const std::uint32_t v : vnodes) {
        check_vnode("release", v);
        if (!states_[v])
            throw Error{Errc::wrong_state,
                        fmt::format("release names VNode {} of space '{}', which this member does not own.", v, name_)};
        commit(v);
        states_[v].reset();
        DirectoryWord at{word(v).load(std::memory_order_acquire)};
        word(v).compare_exchange_strong(at.bits, at.released().bits);
    }
    std::erase_if(arrivals_, [this](const auto& arrival) { return !states_[arrival.first]; });
}

void SpaceState::commit(std::uint32_t vnode) {
    Assumed& self = *states_[vnode];
    VNodeRecord& shared = record(vnode);
    const std::uint64_t number = self.commit_number + 1;
    CommitSlot& slot = slot_of(shared, *header_, number);
    const std::uint64_t size = channels_size(self.channels);
    ExtentPool& pool = runtime_->pool;
    if (size != 0 && (slot.channel_extent == 0 || pool.size(slot.channel_extent) < size)) {
        auto extent = pool.allocate(size, ExtentKind::state, header_->index, vnode);
        if (!extent) runtime_->raise(extent.error());
        const std::uint32_t old = std::exchange(slot.channel_extent, *extent);
        if (old != 0) pool.free(old);
    }
    if (size != 0) write_channels(self.channels, pool.data(slot.channel_extent));
    slot.channel_count = static_cast<std::uint32_t>(self.channels.all().size());
    slot.number = number;
    shared.select.store(number, std::memory_order_release);  // pairs with the acquire load in load()
}

std::vector<std::uint32_t> SpaceState::owned() const {
    std::vector<std::uint32_t> list;
    for (std::uint32_t v = 0; v < options_.vnodes; ++v)
        if (states_[v]) list.push_back(v);
    return list;
}

void SpaceState::send(std::uint32_t from, std::uint32_t to, std::uint32_t tag, const void* data, std::uint64_t size) {
    check_vnode("send", from);
    check_vnode("send", to);
    if (tag >= tag_end)
        throw Error{Errc::invalid_argument, fmt::format("send uses tag {}; tags are 0 to {}.", tag, tag_end - 1)};
    if (!states_[from])
        throw Error{Errc::wrong_state,
                    fmt::format("send from VNode {} of space '{}', which this member does not own.", from, name_)};
    const Settings& settings = runtime_->context.settings;
    if (runtime_->pool.held_bytes() > settings.log_memory_soft) {
        runtime_->mail.reclaim();
        if (runtime_->pool.held_bytes() > settings.log_memory_max)
            runtime_->context.fail(
                Errc::no_memory,
                fmt::format("This member holds {} MiB of messages of space '{}' that nobody has received, the last one "
                            "to VNode {}; raise "
                            "--log-memory-max (now {} MiB) or assume the VNodes that they wait for.",
                            runtime_->pool.held_bytes() >> 20, name_, to, settings.log_memory_max >> 20));
    }
    Channel& channel = states_[from]->channels.at(to);
    const RecordHead head{from, to, tag, 0, channel.send_next++, header_->index, 0};
    if (auto sent = runtime_->mail.send(word(to), head, data, size); !sent) runtime_->raise(sent.error());
}

void SpaceState::arrive(const RecordRef& ref) {
    if (owns(ref.record->destination)) file(ref.record->destination, ref);
}

void SpaceState::file(std::uint32_t vnode, const RecordRef& ref) {
    Channel& channel = states_[vnode]->channels.at(ref.record->source);
    const std::uint64_t sequence = ref.record->sequence;
    if (channel.consumed.contains(sequence)) return ref.release();
    if (const RecordRef* pending = channel.find_pending(sequence)) {
        // A copy that was sent again because an owner changed; the same record by another way is none.
        if (pending->record != ref.record) ref.release();
        return;
    }
    channel.insert(ref);
    arrivals_.emplace_back(vnode, ref.record->source);
}

std::optional<SpaceMessage> SpaceState::try_receive() {
    runtime_->context.throw_if_ended();
    runtime_->poll_and_part();
    for (std::size_t looks = arrivals_.size(); looks > 0; --looks) {
        const auto [vnode, peer] = arrivals_.front();
        arrivals_.pop_front();
        if (!states_[vnode]) continue;
        Channel& channel = states_[vnode]->channels.at(peer);
        const auto ref = channel.take_next();
        if (!ref) {
            // What comes before it on the channel is on its way by another log.
            if (!channel.empty()) arrivals_.emplace_back(vnode, peer);
            continue;
        }
        const Record& record = *ref->record;
        SpaceMessage message{vnode, peer, record.tag(), {}};
        const std::byte* payload = payload_of(record, runtime_->pool);
        message.bytes.assign(payload, payload + record.payload_size());
        ref->release();
        MemberRecord& mine = runtime_->context.record();
        mine.activity.store(mine.activity.load(std::memory_order_relaxed) + 1, std::memory_order_release);
        return message;
    }
    return std::nullopt;
}

SpaceMessage SpaceState::receive() {
    for (;;) {
        const std::uint32_t attention = runtime_->context.record().attention.load(std::memory_order_acquire);
        runtime_->context.throw_if_ended();
        if (auto message = try_receive()) return *message;
        idle(attention);
    }
}

void SpaceState::idle(std::uint32_t attention_before) {
    MemberRecord& mine = runtime_->context.record();
    // One of the VNodes stands for the member's wait, so that a deadlock verdict has something to show.
    const auto first = std::find_if(states_.begin(), states_.end(), [](const auto& state) { return state != nullptr; });
    VNodeRecord* shown =
        first == states_.end() ? nullptr : &record(static_cast<std::uint32_t>(first - states_.begin()));
    if (shown != nullptr)
        shown->wait.store(static_cast<std::uint64_t>(WaitKind::any_message), std::memory_order_release);
    mine.waiting.store(1, std::memory_order_release);
    prepare_sleep(mine);
    if (runtime_->mail.anything_new() || mine.attention.load(std::memory_order_acquire) != attention_before) {
        cancel_sleep(mine);
    } else {
        sleep_until_rung(mine, idle_look_ns);
    }
    mine.waiting.store(0, std::memory_order_release);
    if (shown != nullptr) shown->wait.store(0, std::memory_order_release);
}

}  // namespace phoenix::detail
