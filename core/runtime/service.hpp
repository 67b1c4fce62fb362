#pragma once
/// The service thread of a member, or of a port: heartbeat, death notices, views, owners. Asleep when idle; it alone
/// has to answer quickly while steps run (rule 23).

#include "membership/heartbeat.hpp"
#include "membership/reconcile.hpp"
#include "membership/registry.hpp"
#include "memory/member_table.hpp"
#include "runtime/deadlock.hpp"
#include "runtime/member_context.hpp"
#include "runtime/sweep.hpp"

#include <array>
#include <atomic>
#include <optional>
#include <thread>
#include <vector>

namespace phoenix {

/// Runs from construction to destruction. Everything it decides comes from decide(); it carries out one
/// compare-and-swap after another, so that it may die anywhere.
class Service {
  public:
    explicit Service(MemberContext& context);
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;
    ~Service();

    /// Makes it look at members and owners now. Any thread.
    void kick() noexcept;
    /// Passes on what others have for service threads, which sleep where they cannot be rung. The main thread's.
    void pass_news_on() noexcept;
    /// The application's placement of domain `index`, which the rule of that domain needs. Once per domain; any thread.
    void know_placement(std::uint32_t index, const PlacementFunction& function);
    /// Who is there, as of the last view looked at. Any thread, without a lock.
    [[nodiscard]] const MemberRegistry& members() const noexcept { return members_; }
    /// Members have died or hung in this job: nothing collective of MPI may be called any more.
    [[nodiscard]] bool seen_deaths() const noexcept { return deaths_.load(std::memory_order_relaxed); }

  private:
    void loop() noexcept;
    void wait_for_news();
    void look_at_members();
    void look_at_member(std::uint32_t slot);
    void beat_and_watch();
    void reconcile();
    void register_members();
    [[nodiscard]] Observation observe();
    /// False if nothing was to be done.
    [[nodiscard]] bool carry_out(const Decision& decision);
    [[nodiscard]] DomainObservation look_at_domain(std::uint32_t index);
    void end_the_job(const Decision& decision) const;
    void kill_hung(MemberSlot slot);
    [[nodiscard]] bool watched(std::uint32_t slot) const noexcept;
    /// False if another view came first.
    bool propose(const View& next);
    void change_owners(const std::vector<Reassign>& reassigns);
    void request_moves(const std::vector<Move>& moves);
    void refuse_to_retire(MemberSlot slot);
    void come_back(const View& next);
    void watch_drains();
    void judge_crashes(const View& view);
    void check_deadlock();
    [[nodiscard]] std::optional<MemberSlot> seen_coordinator() const;
    [[nodiscard]] bool coordinates() const;
    void sweep();
    [[nodiscard]] bool vacate_slots(const SweepResult& swept);

    MemberContext& context_;
    FileDescriptor kick_;
    ExtentPool pool_;  ///< For sweeping only; the main thread has its own.
    HangDetector hangs_;
    DeadlockWatch deadlocks_;
    std::array<MemberIdentity, member_count_max> known_;     ///< Who has each slot, as of the last look.
    std::array<ProcessHandle, member_count_max> processes_;  ///< Of those not seen dead.
    LivenessTable liveness_{};                               ///< Of the processes in `known_`.
    View view_;
    MemberRegistry members_;
    std::vector<DomainObservation> domains_;
    std::array<PlacementFunction, domain_count_max> placements_;
    std::array<std::atomic<bool>, domain_count_max> placement_known_{};  ///< Once set, `placements_` stays as it is.
    std::array<std::uint64_t, domain_count_max> directory_news_{};       ///< As of the last look.
    std::array<std::uint64_t, member_count_max> killed_ns_{};            ///< When a hung member was killed first.
    std::uint64_t last_tick_ns_{0};
    std::uint64_t last_sweep_ns_{0};
    std::uint64_t swept_view_{0};  ///< Nothing is left of those that were gone by this view, and their slots are free.
    std::uint64_t looked_at_words_of_view_{~std::uint64_t{0}};
    std::uint32_t looked_at_domains_{0};
    bool placement_was_open_{false};
    std::uint64_t balanced_view_{0};  ///< By this view everybody had a fair share, or will once moves are done.
    bool keepers_elsewhere_seen_{false};
    std::uint64_t taking_seen_{0};  ///< Digest of who takes what, when balance was looked at last.
    bool look_again_{true};
    std::uint32_t news_passed_on_{0};  ///< The main thread's.
    std::atomic<bool> deaths_{false};
    std::atomic<bool> ending_{false};
    std::thread thread_;
};

}  // namespace phoenix
