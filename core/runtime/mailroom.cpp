#include "runtime/mailroom.hpp"

#include "messaging/doorbell.hpp"

namespace phoenix {

bool Mailroom::settled(LogWriter& log, const AtomicDirectoryWord& word, DirectoryWord before,
                       std::uint32_t target) const noexcept {
    MemberRecord& member = context_->segment().member(target);
    if (log.take_new()) member.new_logs.fetch_add(1, std::memory_order_release);
    // One fence for two questions (rule 3): did the owner change, and does the owner sleep. Pairs with the adopter's
    // change of the word before its scan, and with the fence in prepare_sleep.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const DirectoryWord after{word.load(std::memory_order_acquire)};
    if (target != context_->slot) ring_if_sleeping(member);
    return after.same_ownership(before);
}

tl::expected<void, Failure> Mailroom::send_extent(const AtomicDirectoryWord& word, const RecordHead& head,
                                                  ExtentId extent, std::uint64_t size) {
    const DirectoryWord before{word.load(std::memory_order_acquire)};
    const std::uint32_t target = before.assigned() ? before.owner().value : context_->slot;
    LogWriter& log = writer(target);
    if (auto sent = log.append_extent(head, extent, size); !sent) return tl::unexpected(std::move(sent.error()));
    if (settled(log, word, before, target)) return {};
    return send(word, head, pool_->data(extent), size);
}

tl::expected<void, Failure> Mailroom::keep(const RecordHead& head, const void* data, std::uint64_t size) {
    auto kept = writer(context_->slot).append(head, data, size);
    if (!kept) return tl::unexpected(std::move(kept.error()));
    return {};
}

void Mailroom::make_writer(std::uint32_t target) {
    writers_[target] = std::make_unique<LogWriter>(
        *pool_, context_->arena(), context_->segment().log_head(target, context_->slot), context_->slot, target);
}

bool Mailroom::reader_dead(std::uint32_t reader) const {
    const MemberState state = context_->current_view().at(MemberSlot{reader}).state;
    return state == MemberState::failed || state == MemberState::retired;
}

void Mailroom::find_new_logs() {
    known_logs_ = context_->record().new_logs.load(std::memory_order_acquire);
    for (std::uint32_t other = 0; other < member_count_max; ++other) {
        if (has_reader_[other]) continue;
        // Pairs with the release store in LogWriter::add_chunk.
        const std::uint64_t first = context_->segment().log_head(context_->slot, other).load(std::memory_order_acquire);
        if (first == 0) continue;
        has_reader_[other] = true;
        readers_.emplace_back(context_->arena(), first, other);
    }
}

void Mailroom::leave_logs_of_the_dead(const View& view) {
    if (view.number == seen_view_) return;
    seen_view_ = view.number;
    std::erase_if(readers_, [&](const LogReader& reader) {
        const MemberState state = view.members[reader.writer()].state;
        // Its writer was seen dead, so what is not there now will never come.
        if ((state != MemberState::failed && state != MemberState::retired) || reader.ready()) return false;
        // Release: our reads of the log come before its reuse; pairs with the acquire load in sweep_chunk.
        context_->segment().log_head(context_->slot, reader.writer()).store(0, std::memory_order_release);
        return true;
    });
}

}  // namespace phoenix
