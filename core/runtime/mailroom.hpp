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
    /// without an owner it waits in this member's log to itself, where the next owner finds it.
    [[nodiscard]] tl::expected<void, Failure> send(const AtomicDirectoryWord& word, const RecordHead& head,
                                                   const void* data, std::uint64_t size) {
        for (;;) {
            const DirectoryWord before{word.load(std::memory_order_acquire)};
            const std::uint32_t target = before.assigned() ? before.owner().value : context_->slot;
            LogWriter& log = writer(target);
            if (auto sent = log.append(head, data, size); !sent) return tl::unexpected(std::move(sent.error()));
            if (settled(log, word, before, target)) return {};
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
    /// After a poll(): drops the reading ends of logs whose writers are gone by `view` and says so in the segment, so
    /// that their chunks can be swept once everything in them is consumed.
    void leave_logs_of_the_dead(const View& view);
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
                log->for_each_retained([&](const RecordRef& ref) {
                    if (consumed(*ref.record)) ref.release();
                });
                log->reclaim(reader_dead(log->reader()));
            }
    }
    void reclaim() {
        for (auto& log : writers_)
            if (log) log->reclaim(false);
    }
    /// Oldest retained records' destinations: visit(domain, vnode).
    template <typename Visit>
    void for_each_retained(Visit&& visit) const {
        for (const auto& log : writers_)
            if (log) log->for_each_retained([&](const RecordRef& ref) { visit(*ref.record); });
    }

  private:
    [[nodiscard]] LogWriter& writer(std::uint32_t target) {
        if (!writers_[target]) make_writer(target);
        return *writers_[target];
    }
    void make_writer(std::uint32_t target);
    [[nodiscard]] bool reader_dead(std::uint32_t reader) const;
    [[nodiscard]] bool new_logs_made() noexcept {
        if (new_logs_ == nullptr) new_logs_ = &context_->record().new_logs;
        return known_logs_ != new_logs_->load(std::memory_order_acquire);
    }
    void find_new_logs();
    /// After a record is visible: true if its owner still is who it was sent to.
    [[nodiscard]] bool settled(LogWriter& log, const AtomicDirectoryWord& word, DirectoryWord before,
                               std::uint32_t target) const noexcept;

    const MemberContext* context_;
    ExtentPool* pool_;
    std::array<std::unique_ptr<LogWriter>, member_count_max> writers_;
    std::vector<LogReader> readers_;
    std::array<bool, member_count_max> has_reader_{};
    std::uint32_t known_logs_{0};
    const std::atomic<std::uint32_t>* new_logs_{nullptr};  ///< This member's; known once it has a slot.
    ViewNumber seen_view_{};
};

}  // namespace phoenix
