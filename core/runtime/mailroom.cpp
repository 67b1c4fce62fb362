#include "runtime/mailroom.hpp"

#include "base/clock.hpp"
#include "messaging/doorbell.hpp"

namespace phoenix {

namespace {

bool takes_part(const MemberEntry& entry) noexcept {
    return entry.state == MemberState::active || entry.state == MemberState::draining;
}

bool is_reader(const View& view, const LogEnds& ends) noexcept {
    const MemberEntry& entry = view.members[ends.reader];
    return takes_part(entry) && entry.incarnation.value == ends.reader_incarnation;
}

}  // namespace

bool Mailroom::settled(LogWriter& log, const AtomicDirectoryWord& word, DirectoryWord before) {
    const std::uint32_t target = log.ends().reader;
    MemberRecord& member = context_->segment().member(target);
    const bool is_new = log.take_new();
    if (is_new) member.new_logs.fetch_add(1, std::memory_order_release);
    // One fence for two questions (rule 3): did the owner change, and does the owner sleep. Pairs with the adopter's
    // change of the word before its scan, and with the fence in prepare_sleep. And for a third, see still_right().
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const DirectoryWord after{word.load(std::memory_order_acquire)};
    if (target != context_->slot) ring_if_sleeping(member);
    const bool detour = before.assigned() && before.owner().value != target;
    if ((is_new || detour) && !still_right(log, detour)) [[unlikely]]
        return false;
    return after.same_ownership(before);
}

// After the fence: whether the view that decided on this log still says the same.
//   - A detour is right while the owner is no member. A newcomer admitted meanwhile may have scanned the logs before
//     the record was there, and does not read this one. If it is admitted later its scan finds the record: pairs with
//     the fence between its look at the view and its scan (DomainState::load).
//   - A new log is right while its reader is a member. Else the reader's slot may have been given to another process,
//     because the log was not in the directory when that was looked into: pairs with the fence in find_remains.
bool Mailroom::still_right(LogWriter& log, bool detour) {
    if (detour) return context_->header().view_current.load(std::memory_order_acquire) == decided_by_;
    if (log.ends().reader == context_->slot || is_reader(context_->current_view(), log.ends())) return true;
    close(log.ends().reader);
    return false;
}

void Mailroom::close(std::uint32_t target) {
    writers_[target]->close();
    closed_.push_back(std::move(writers_[target]));
}

tl::expected<void, Failure> Mailroom::send_extent(const AtomicDirectoryWord& word, const RecordHead& head,
                                                  ExtentId extent, std::uint64_t size) {
    const DirectoryWord before{word.load(std::memory_order_acquire)};
    LogWriter& log = writer(before.assigned() ? before.owner().value : context_->slot);
    if (auto sent = log.append_extent(head, extent, size); !sent) return tl::unexpected(std::move(sent.error()));
    if (settled(log, word, before)) return {};
    return send(word, head, pool_->data(extent), size);
}

tl::expected<void, Failure> Mailroom::keep(const RecordHead& head, const void* data, std::uint64_t size) {
    auto kept = writer(context_->slot).append(head, data, size);
    if (!kept) return tl::unexpected(std::move(kept.error()));
    return {};
}

// The word that names `target` may be an old one, or a gift to somebody who has just gone, or to a newcomer that is not
// admitted yet: the view is read now, after the word. If it says that `target` is a member, the log is for that
// incarnation. Else the record is left where whoever gets the VNode next will find it.
LogWriter& Mailroom::new_writer(std::uint32_t target) {
    LogEnds ends{context_->slot, target, context_->incarnation};
    if (target != context_->slot) {
        // Before the view: a later one is noticed.
        decided_by_ = context_->header().view_current.load(std::memory_order_acquire);
        const MemberEntry entry = context_->current_view().at(MemberSlot{target});
        if (!takes_part(entry)) return writer(context_->slot);
        ends.reader_incarnation = entry.incarnation.value;
    }
    writers_[target] = std::make_unique<LogWriter>(*pool_, context_->arena(),
                                                   context_->segment().log_head(target, context_->slot), ends);
    return *writers_[target];
}

void Mailroom::find_new_logs() {
    known_logs_ = context_->record().new_logs.load(std::memory_order_acquire);
    for (std::uint32_t other = 0; other < member_count_max; ++other) {
        if (has_reader_[other]) continue;
        // Pairs with the release store in LogWriter::add_chunk.
        const LogHead head{context_->segment().log_head(context_->slot, other).load(std::memory_order_acquire)};
        if (!head.is_for(context_->incarnation)) continue;
        has_reader_[other] = look_again_ = true;
        readers_.emplace_back(context_->arena(), head, other);
    }
}

bool Mailroom::closed_sweep_due() noexcept {
    constexpr std::uint64_t period_ns = 50'000'000;
    const std::uint64_t now = boot_time_ns();
    if (now < closed_swept_ns_ + period_ns) return false;
    closed_swept_ns_ = now;
    return true;
}

void Mailroom::follow(const View& view) {
    seen_view_ = view.number;
    look_again_ = false;
    for (auto& log : writers_) {
        if (!log || log->ends().reader == context_->slot || is_reader(view, log->ends())) continue;
        close(log->ends().reader);
    }
    // Logs were found before the view was read, so the writers were members by this view or an earlier one: the entry
    // of a slot is that of the writer, because nobody gets the slot before this log is left.
    std::erase_if(readers_, [&](const LogReader& reader) {
        if (takes_part(view.members[reader.writer()])) return false;
        if (reader.ready()) {
            look_again_ = true;
            return false;
        }
        // Its writer is gone, so what is not there now will never come.
        has_reader_[reader.writer()] = false;
        // Release: our reads of the log come before its reuse; pairs with the acquire loads in sweep_chunk and vacate.
        context_->segment().log_head(context_->slot, reader.writer()).store(0, std::memory_order_release);
        return true;
    });
}

}  // namespace phoenix
