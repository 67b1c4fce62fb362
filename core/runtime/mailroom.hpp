#pragma once
/// This member's ends of all logs of the node: sends records to whoever owns a VNode, collects those that come in.

#include "messaging/log.hpp"
#include "runtime/member_context.hpp"

#include <array>
#include <memory>
#include <vector>

namespace phoenix {

/// Threads: the main thread only.
class Mailroom {
  public:
    Mailroom(const MemberContext& context, ExtentPool& pool) noexcept : context_(&context), pool_(&pool) {}

    /// Sends to the owner of the VNode whose directory word is `word`, whoever that is by the time the record is
    /// visible: publishes, fences, looks at the word again and sends again if the owner changed (rule 3). To a VNode
    /// without an owner, or whose owner is no member by the view in force, it waits in this member's log to itself,
    /// where the next owner finds it.
    [[nodiscard]] tl::expected<void, Failure> send(const AtomicDirectoryWord& word, const RecordHead& head,
                                                   const void* data, std::uint64_t size) {
        for (;;) {
            const DirectoryWord before{word.load(std::memory_order_acquire)};
            LogWriter& log = writer(before.assigned() ? before.owner().value : context_->slot);
            if (auto sent = log.append(head, data, size); !sent) return tl::unexpected(std::move(sent.error()));
            if (settled(log, word, before)) return {};
        }
    }
    /// The same for a payload that lies in an extent; sending again copies it, since each log frees what it sent.
    [[nodiscard]] tl::expected<void, Failure> send_extent(const AtomicDirectoryWord& word, const RecordHead& head,
                                                          ExtentId extent, std::uint64_t size);

    /// Files a record in the log to this member itself, for the scan of whoever loads the destination (restart).
    [[nodiscard]] tl::expected<void, Failure> keep(const RecordHead& head, const void* data, std::uint64_t size);

    /// Calls visit(RecordRef) for every record that has come in.
    template <typename Visit>
    std::size_t poll(Visit&& visit) {
        if (new_logs_made()) find_new_logs();
        std::size_t found = 0;
        for (LogReader& reader : readers_) found += reader.poll(visit);
        return found;
    }
    /// Takes one record past poll() if it is the next of its log and wanted(record) says so; null if there is none.
    template <typename Wanted>
    [[nodiscard]] RecordRef take_if(Wanted&& wanted) {
        for (LogReader& reader : readers_)
            if (const RecordRef ref = reader.take_if(wanted); ref.record != nullptr) return ref;
        return {};
    }
    /// Parts from those who are gone by `view`, which was read after a poll(): leaves their logs and says so in the
    /// segment, so that the chunks can be swept and the slot used again; closes the logs towards them, and gives back
    /// what they held as it is consumed. As sweep(): `consumed`.
    template <typename Consumed>
    void part_from_the_gone(const View& view, Consumed&& consumed) {
        if (view.number != seen_view_ || look_again_) follow(view);
        if (!closed_.empty() && closed_sweep_due()) sweep_closed(consumed);
    }
    /// True if poll() would find something. Before sleeping it is called after the fence of prepare_sleep().
    [[nodiscard]] bool anything_new() noexcept {
        for (const LogReader& reader : readers_)
            if (reader.ready()) return true;
        return new_logs_made();
    }

    /// Gives back what receivers have committed. `consumed(record)`: by the receiver's commit; asked only for records
    /// whose receiver may not have said so itself (it died, or never saw the record).
    template <typename Consumed>
    void sweep(Consumed&& consumed) {
        for (auto& log : writers_)
            if (log) {
                release_consumed(*log, consumed);
                log->reclaim();
            }
        sweep_closed(consumed);
    }
    void reclaim() {
        for (auto& log : writers_)
            if (log) log->reclaim();
    }
    /// Oldest retained records' destinations: visit(domain, vnode).
    template <typename Visit>
    void for_each_retained(Visit&& visit) const {
        for (const auto& log : writers_)
            if (log) log->for_each_retained([&](const RecordRef& ref) { visit(*ref.record); });
        for (const auto& log : closed_) log->for_each_retained([&](const RecordRef& ref) { visit(*ref.record); });
    }

  private:
    [[nodiscard]] LogWriter& writer(std::uint32_t target) {
        if (!writers_[target]) [[unlikely]]
            return new_writer(target);
        return *writers_[target];
    }
    /// The log to oneself if `target` is no member by the view in force.
    [[nodiscard]] LogWriter& new_writer(std::uint32_t target);
    void follow(const View& view);
    /// Now and then: news come by the hundred, and what is left may be much.
    [[nodiscard]] bool closed_sweep_due() noexcept;
    template <typename Consumed>
    static void release_consumed(const LogWriter& log, Consumed& consumed) {
        log.for_each_retained([&](const RecordRef& ref) {
            if (consumed(*ref.record)) ref.release();
        });
    }
    template <typename Consumed>
    void sweep_closed(Consumed& consumed) {
        std::erase_if(closed_, [&](const std::unique_ptr<LogWriter>& log) {
            release_consumed(*log, consumed);
            return log->reclaim_closed();
        });
    }
    [[nodiscard]] bool new_logs_made() noexcept {
        if (new_logs_ == nullptr) new_logs_ = &context_->record().new_logs;
        return known_logs_ != new_logs_->load(std::memory_order_acquire);
    }
    void find_new_logs();
    /// After a record is visible: true if its owner still is who it was sent to.
    [[nodiscard]] bool settled(LogWriter& log, const AtomicDirectoryWord& word, DirectoryWord before);
    [[nodiscard]] bool still_right(LogWriter& log, bool detour);
    void close(std::uint32_t target);

    const MemberContext* context_;
    ExtentPool* pool_;
    /// Invariant: a log here is towards a member of the view that was in force when it was made, or of a later one;
    /// so by the time its reader's slot is claimed anew, part_from_the_gone() tells the two apart.
    std::array<std::unique_ptr<LogWriter>, member_count_max> writers_;
    std::vector<std::unique_ptr<LogWriter>> closed_;  ///< Their readers are gone; records in them are not consumed yet.
    std::vector<LogReader> readers_;
    std::array<bool, member_count_max> has_reader_{};
    std::uint32_t known_logs_{0};
    const std::atomic<std::uint32_t>* new_logs_{nullptr};  ///< This member's; known once it has a slot.
    ViewNumber seen_view_{};
    std::uint64_t decided_by_{0};  ///< ViewWord by which new_writer() looked last.
    bool look_again_{false};       ///< Logs were found since, or could not be left.
    std::uint64_t closed_swept_ns_{0};
};

}  // namespace phoenix
