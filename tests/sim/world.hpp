#pragma once
/// A node in one thread: its shared memory, its processes, a scheduler that picks the next operation by seed, and
/// faults. Judges the promises as it goes: I2 and I4 at every commit and receive, I3 by never standing still.

#include "membership/placement_rule.hpp"
#include "membership/vacancy.hpp"
#include "sim/logs.hpp"
#include "sim/program.hpp"
#include "sim/records.hpp"
#include "sim/task.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace phoenix::sim {

inline constexpr std::uint32_t slot_max = 6;

/// Bugs to plant: each removes one rule of the protocol.
enum class Plant : std::uint8_t {
    none,
    no_reread_after_publish,       ///< Rule 3: the sender trusts its first look at the directory word.
    no_fence_after_publish,        ///< Rule 3: publish may linger in the store buffer behind the second look.
    no_fence_before_sleep,         ///< Rule 3, doorbell: "I sleep" may linger behind the last look for news.
    no_scan_on_adoption,           ///< Rule 19: the adopter reads only its own logs.
    adopt_before_seen_dead,        ///< A hung member is taken for dead.
    release_at_read,               ///< Rule 1: released when read from the log instead of when committed.
    dedup_by_cursor,               ///< Rule 1: a cursor in place of the consumed set.
    deliver_in_order_of_arrival,   ///< I4: order of the paths instead of the channel sequence.
    no_look_at_view_after_giving,  ///< The giver does not make sure that the receiver is still there.
    draining_takes_nothing,        ///< A member that drains leaves alone what somebody gave it who did not know.
    never_come_back,               ///< A member that has drained leaves although everybody else has died.
    take_before_admission,         ///< A newcomer takes what words give to its slot before it is in the view.
    vacate_before_left,            ///< A slot is used again while members are not through with the logs of who had it.
    begin_at_any_head,             ///< A newcomer begins to read at a head that was meant for its predecessor.
    no_second_look_at_detour       ///< Who files a record for an owner that is no member trusts its first look.
};

/// What is shared. Every access by a process is one event (World::op before it).
struct SharedMemory {
    std::uint64_t view_word{};
    std::vector<ViewImage> view_buffers;  ///< Of the slots in use.
    std::array<PublishedMember, slot_max> published{};
    std::array<AtomicDirectoryWord, vnode_max> words{};
    std::array<AtomicMoveRequest, vnode_max> requests{};
    std::array<Commit, vnode_max> commits{};
    std::deque<Chain> chains;
    std::array<std::array<LogHead, slot_max>, slot_max> heads{};  ///< [reader][writer]
    std::array<bool, slot_max> taken{};                           ///< Claimed, and not given back since.
    std::array<std::uint32_t, slot_max> sleeping{};
    std::array<std::uint32_t, slot_max> attention{};
};

/// A plain store that other processors may see late: until a fence, a locked instruction or a system call.
struct PendingStore {
    enum class Kind : std::uint8_t { publish, sleeping } kind{};
    std::uint32_t slot{};
    std::size_t chain{};
    Record record{};
};

/// A thread of a simulated process.
struct SimThread {
    Task task;
    std::coroutine_handle<> point{};  ///< Where it goes on.
    std::uint32_t process{};
    std::uint32_t weight{1};
    bool is_worker{};
    bool asleep{};          ///< In a futex wait on `sleeping` of its slot.
    bool waits_for_news{};  ///< In poll(): pidfds, view, joins.
    std::uint64_t paused_until{};
    std::vector<PendingStore> store_buffer;
};

class Member;

struct Process {
    std::uint32_t slot{};
    Incarnation incarnation{};
    bool alive{true};
    bool stopped{};
    bool seems_hung{};
    bool leave_requested{};
    bool wished_to_retire{};  ///< At least once: a refusal may come when it has made up its mind.
    bool published{};         ///< Has joined.
    bool unreliable{};        ///< Was stopped at least once: may be killed for it any time.
    std::unique_ptr<Member> member;
};

struct Options {
    std::uint64_t seed{};
    std::uint32_t members{3};
    std::uint32_t late_joiners{1};
    std::uint32_t vnodes{4};
    std::uint32_t kills{2};
    std::uint32_t stops{1};
    std::uint32_t leaves{0};
    std::uint32_t retirements{0};
    std::uint32_t hand_over_percent{20};
    std::uint32_t steps{step_count};
    std::uint32_t slots{slot_max};  ///< In the member table.
    bool come_and_go{};             ///< Everybody is asked to retire; whenever a slot is free again somebody joins.
    Plant plant{Plant::none};
    PlacementRule placement{};

    /// A mixture of everything, drawn from `seed`.
    [[nodiscard]] static Options drawn_from(std::uint64_t seed, Plant plant = Plant::none);
    /// Few slots, used over and over again.
    [[nodiscard]] static Options coming_and_going(std::uint64_t seed, Plant plant = Plant::none);
};

struct Statistics {
    std::uint64_t events{};
    std::uint64_t deaths{};
    std::uint64_t coordinator_deaths{};
    std::uint64_t hung_killed{};
    std::uint64_t views{};
    std::uint64_t adoptions{};
    std::uint64_t hand_overs{};
    std::uint64_t asked_moves{};  ///< Of these, for balance or to drain.
    std::uint64_t drained{};      ///< Members that left empty.
    std::uint64_t reactivated{};  ///< Members that drained and were needed again.
    std::uint64_t resends{};
    std::uint64_t duplicates{};
    std::uint64_t reused{};  ///< Slots claimed that others had before.
    Statistics& operator+=(const Statistics& other);
};

struct Outcome {
    std::string failure;  ///< Empty: all promises were kept.
    Statistics statistics;
};

class World {
  public:
    explicit World(const Options& options);
    World(const World&) = delete;
    World& operator=(const World&) = delete;
    ~World();

    [[nodiscard]] Outcome run();

    // --- for members -------------------------------------------------------------------------------------------
    /// Suspends the running thread; what follows until the next suspension is one event.
    struct Point {
        World& world;
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> handle) const noexcept { world.running_->point = handle; }
        void await_resume() const noexcept {}
    };
    [[nodiscard]] Point op() noexcept { return Point{*this}; }
    /// The same at a place where it matters what others do before the next event: now and then that is much.
    [[nodiscard]] Point long_op();

    SharedMemory memory;
    Statistics statistics;

    [[nodiscard]] const Options& options() const noexcept { return options_; }
    [[nodiscard]] const Program& program() const noexcept { return program_; }
    [[nodiscard]] bool planted(Plant plant) const noexcept { return options_.plant == plant; }
    [[nodiscard]] std::uint32_t random(std::uint32_t below) { return static_cast<std::uint32_t>(random_() % below); }

    void store_late(PendingStore store) { running_->store_buffer.push_back(store); }
    void fence() { drain(*running_, running_->store_buffer.size()); }
    bool compare_and_swap(std::uint32_t vnode, DirectoryWord expected, DirectoryWord desired);
    bool compare_and_swap_view(ViewWord expected, ViewWord desired);
    void publish_commit(const Process& process, std::uint32_t vnode, const Commit& commit);
    void publish_member(Process& process, const PublishedMember& published);
    void wake(std::uint32_t slot);
    /// Marks the running thread asleep unless its word was cleared (a futex wait). Follow with op().
    void sleep(std::uint32_t slot);
    [[nodiscard]] std::uint64_t news() const noexcept { return news_; }
    /// Lets the running thread wait unless there is news since `seen`. Follow with op().
    void wait_for_news(std::uint64_t seen);
    void tell_news();
    [[nodiscard]] Liveness liveness_of(std::uint32_t slot) const;
    /// What a member reads of the view in one go.
    [[nodiscard]] View view_in_force() const;
    bool vacate(std::uint32_t slot, Incarnation incarnation);
    void send_kill(std::uint32_t slot);
    void end_soon(std::uint32_t slot);
    [[nodiscard]] std::uint32_t expected_members() const noexcept { return options_.members; }
    [[nodiscard]] std::uint32_t lost_before_join() const noexcept { return lost_before_join_; }
    [[nodiscard]] bool start_time_over() const noexcept { return start_time_over_; }
    void fail(std::string what);

  private:
    struct TimedEvent {
        std::uint64_t at;
        std::function<void()> what;
    };

    void plan();
    void plan_at(std::uint64_t at, std::function<void()> what);
    void start_process();
    void die(Process& process);
    void stop(Process& process);
    void request_leave(Process& process);
    void request_retirement(Process& process);
    /// A process whose loss leaves at least one that works on; prefers the coordinator half of the time. May be null.
    /// `for_good`: it dies at once, so that it decides nothing any more.
    [[nodiscard]] Process* victim(bool for_good);
    [[nodiscard]] Process* process_in(std::uint32_t slot);  ///< The last one.
    [[nodiscard]] std::optional<std::uint32_t> coordinator() const;
    void drain(SimThread& thread, std::size_t stores);
    [[nodiscard]] SimThread* pick();
    [[nodiscard]] bool runnable(const SimThread& thread) const;
    [[nodiscard]] bool complete() const;
    void run_due_events();
    void check_results();
    [[nodiscard]] std::string describe() const;

    Options options_;
    Program program_;
    std::mt19937_64 random_;
    std::deque<Process> processes_;
    std::vector<std::unique_ptr<SimThread>> threads_;
    std::vector<TimedEvent> timed_;  ///< A heap, the next one in front.
    SimThread* running_{};
    std::uint64_t now_{};
    std::uint64_t news_{};
    std::uint64_t tickets_{};
    std::uint32_t lost_before_join_{};
    bool start_time_over_{};
    std::string failure_;
};

/// Runs one schedule.
[[nodiscard]] Outcome simulate(const Options& options);

}  // namespace phoenix::sim
