#pragma once
/// A domain as one member sees it: its shared memory, the VNodes it executes, the phase that runs.

#include "checkpoint/cut.hpp"
#include "membership/placement_rule.hpp"
#include "runtime/collective_memory.hpp"
#include "runtime/fiber.hpp"
#include "runtime/mailroom.hpp"
#include "runtime/vnode_state.hpp"

#include <phoenix/domain.hpp>

#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

namespace phoenix::checkpoint {
class CheckpointReader;
}

namespace phoenix::detail {

class RuntimeState;

/// Thrown through a step function to take its fiber off the stack: the step does not count.
struct Unwind {};

/// A field as declared, before the layout is fixed.
struct FieldDeclaration {
    std::string name;
    ElementClass element;
    std::size_t element_size;
    std::function<Shape(std::uint32_t)> shape_of;
    FieldOptions options;
};

/// Threads: the main thread of the member.
class DomainState {
  public:
    DomainState(RuntimeState& runtime, std::string name, const DomainOptions& options);
    DomainState(const DomainState&) = delete;
    DomainState& operator=(const DomainState&) = delete;
    ~DomainState();

    // --- declaration and layout (domain_seal.cpp)
    std::uint32_t add_field(FieldDeclaration declaration);
    /// Fixes the layout: makes the domain's shared memory, or checks that it was made from the same declaration.
    void seal();
    [[nodiscard]] bool sealed() const noexcept { return header_ != nullptr; }

    // --- phases (phase.cpp)
    RunResult run_phase(bool initialise, std::uint64_t steps, const StepFunction& step);
    [[nodiscard]] std::uint32_t take_gather_number() noexcept;
    /// VNodes this member executes.
    [[nodiscard]] std::span<const std::uint32_t> owned() const noexcept { return owned_; }

    // --- fields (fields.cpp)
    [[nodiscard]] PartMemory part(VNodeState& self, std::uint32_t field, Access access);
    [[nodiscard]] PartMemory resize(VNodeState& self, std::uint32_t field, std::uint64_t elements);
    /// The committed part of any VNode; for gather, checkpoints and digests.
    [[nodiscard]] PartMemory committed_part(std::uint32_t field, std::uint32_t vnode) const;
    [[nodiscard]] Shape shape_of(std::uint32_t field, std::uint32_t vnode) const;
    /// Waits until copies of the committed parts of VNodes on other nodes are here, and keeps those that are here where
    /// they are while `number` stands. For gather.
    void fetch_parts(std::uint32_t field, std::uint32_t number);
    void end_fetch() noexcept;

    // --- messages (messages.cpp)
    void send(VNodeState& self, std::uint32_t to, std::uint32_t tag, const void* data, std::uint64_t size,
              ExtentId extent);
    [[nodiscard]] RecordRef receive(VNodeState& self, std::uint32_t from, std::uint32_t tag);
    [[nodiscard]] RecordRef receive_any(VNodeState& self, std::uint32_t tag);
    [[nodiscard]] bool probe(VNodeState& self, std::uint32_t from, std::uint32_t tag);
    /// A record came in, by a log or by a scan.
    void arrive(const RecordRef& ref);

    // --- collectives (collectives.cpp)
    void all_reduce(VNodeState& self, void* values, std::uint64_t size, Combine combine, void* context);
    void broadcast(VNodeState& self, std::uint32_t root, void* data, std::uint64_t size);

    /// Lets other VNodes run until there may be news of the kind that `self` waits for.
    void wait(VNodeState& self, WaitKind kind, std::uint32_t peer, std::uint32_t tag);
    void throw_if_unwinding() const {
        if (unwinding_) throw Unwind{};
    }
    /// Ends the job because of what VNode `self` did.
    [[noreturn]] void fail_at(const VNodeState& self, Errc code, std::string_view what) const;

    [[nodiscard]] DomainHeader& header() const noexcept { return *header_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const DomainOptions& options() const noexcept { return options_; }
    [[nodiscard]] RuntimeState& runtime() const noexcept { return *runtime_; }
    [[nodiscard]] VNodeRecord& record(std::uint32_t vnode) const noexcept;
    [[nodiscard]] AtomicDirectoryWord& word(std::uint32_t vnode) const noexcept;
    [[nodiscard]] bool initialising() const noexcept { return initialising_; }

    // --- ownership (ownership.cpp)
    /// Loads every VNode that the directory gives to this member and that it does not have; drops those it lost.
    void follow_directory();
    /// Hands a VNode that has just committed, or whose step is to be repeated elsewhere, to another member.
    void give_away(VNodeState& self, std::uint32_t member);
    /// At the step boundary of `self`: hands it over, committed, if that was asked for. True if it is gone.
    [[nodiscard]] bool give_away_if_asked(VNodeState& self, bool finished);
    /// Looks for such wishes among the VNodes that are between steps now.
    void give_idle_away();
    /// Asks that `self` move to another member that executes steps here, or to another node, the `pick`-th of them.
    /// None: nothing.
    void ask_to_move(const VNodeState& self, std::uint64_t pick);

    // --- checkpoints (checkpointing.cpp)
    /// True if VNode `self`, which has just committed `serial`, must wait there for a checkpoint.
    [[nodiscard]] bool checkpoint_due(std::uint32_t serial) const noexcept;
    /// Helps to write the checkpoint that is due, if all VNodes have come to it. Returns true if something was done.
    bool help_checkpoint();
    /// Loads the restart checkpoint, if one was asked for, into a domain that was just made.
    void restore_checkpoint();

  private:
    // phase.cpp
    void begin_phase(std::uint32_t phase, std::uint64_t steps);
    void execute_until_done(std::uint64_t steps);
    void run_slice(VNodeState& self);
    void begin_step(VNodeState& self);
    void end_step(VNodeState& self);
    void after_step(VNodeState& self);
    void go_on(VNodeState& self, bool finished);
    void wait_at_gate(VNodeState& self);
    void show_wait(const VNodeState& self, WaitKind kind, std::uint32_t peer, std::uint32_t tag) noexcept;
    void handle_news();
    [[nodiscard]] bool open_gates();
    [[nodiscard]] bool phase_done();
    void unwind_all() noexcept;
    void make_ready(VNodeState& self);
    void step_failed(VNodeState& self, const std::exception_ptr& error);
    [[nodiscard]] RunResult phase_result(std::uint32_t phase);
    static void fiber_entry(void* raw);

    // waiting.cpp
    [[nodiscard]] RecordRef spin_for_message(VNodeState& self, std::uint32_t from, std::uint32_t tag);
    [[nodiscard]] bool resume_collective_waiters();
    [[nodiscard]] bool spin();
    void idle();

    // commit.cpp
    void commit(VNodeState& self, bool finished);
    void commit_fields(VNodeState& self, CommitSlot& slot, CommitSlot& other);
    void commit_channels(VNodeState& self, CommitSlot& slot);
    void commit_print(VNodeState& self, CommitSlot& slot);
    void check_stop(const VNodeState& self);
    [[nodiscard]] bool cut_closed(std::uint64_t number);
    [[nodiscard]] bool commit_counts(const CommitSlot& slot) const noexcept;
    void release_closed(VNodeState& self);

    // checkpointing.cpp
    [[nodiscard]] std::string checkpoint_directory(const std::string& base) const;
    [[nodiscard]] checkpoint::CutDescription describe_cut(std::uint64_t serial) const;
    [[nodiscard]] std::vector<checkpoint::FieldLayout> field_layouts() const;
    [[nodiscard]] bool everybody_at(std::uint64_t serial);
    [[nodiscard]] bool write_own_parts(std::uint64_t serial, std::uint32_t parts);
    void write_part(std::uint64_t serial, std::uint32_t parts, std::uint32_t index);
    [[nodiscard]] bool consumed_at_cut(const Record& crossing) const;
    void finish_checkpoint(std::uint64_t serial, std::uint32_t parts);
    void give_up_checkpoint(std::uint64_t serial, const std::string& why);
    [[nodiscard]] bool claim_for_checkpoint(std::atomic<std::uint64_t>& word, std::uint64_t serial) const;
    void restore_vnode(checkpoint::CheckpointReader& reader, std::uint32_t vnode);

    // ownership.cpp
    void load(const std::vector<std::uint32_t>& vnodes);
    void enter_phase(VNodeState& self);
    [[nodiscard]] std::unique_ptr<VNodeState> restored_state(std::uint32_t vnode);
    void scan_logs(const std::vector<std::uint32_t>& vnodes);
    void drop(VNodeState& self);
    [[nodiscard]] bool belongs_to_now(const Record& record) const noexcept;

    [[nodiscard]] bool committed_here(const VNodeState& self);

    // rollback.cpp
    void roll_back_if_needed();
    [[nodiscard]] bool everybody_stopped(std::uint32_t generation) const;
    [[nodiscard]] std::uint64_t rollback_target(std::uint32_t generation);
    void take_back(std::uint32_t vnode);

    // fields.cpp
    void init_fields(VNodeState& self, const CommitSlot& slot);
    [[nodiscard]] std::uint64_t buffer_offset(std::uint32_t field, std::uint32_t vnode, std::uint32_t buffer) const;
    [[nodiscard]] PartMemory memory_of(std::uint32_t field, std::uint32_t vnode, std::uint64_t offset) const;
    /// The buffer that next() hands out and the end of the step makes `now`.
    [[nodiscard]] std::uint8_t next_buffer(const VNodeState& self, std::uint32_t field) const;
    void edit_fixed(VNodeState& self, std::uint32_t field);
    void edit_resizable(VNodeState& self, std::uint32_t field, std::uint64_t elements);
    void undefine_halos(VNodeState& self);

    // domain_seal.cpp
    [[nodiscard]] std::uint64_t layout_hash() const;
    [[nodiscard]] std::uint64_t make_shared(std::uint64_t hash);
    void check_several_nodes() const;
    /// The domain's own, or the job's. Without the function of a custom one.
    [[nodiscard]] PlacementRule placement_rule() const;
    void check_made_alike(std::uint64_t hash) const;
    /// Location words of the domain; returns where they are.
    [[nodiscard]] std::uint64_t place_on_nodes() const;
    void place_fields(DomainHeader& header);

    // collectives.cpp
    void find_collectives();
    [[nodiscard]] std::uint64_t done_word(std::uint32_t round) const noexcept;
    void deposit(VNodeState& self, std::uint32_t round, const void* value, std::uint64_t size);
    void climb(VNodeState& self, std::uint32_t round, std::uint64_t size, Combine combine, void* context);
    struct Reduction {
        std::uint32_t round;
        std::uint64_t size;
        Combine combine;
        void* context;
    };
    [[nodiscard]] bool complete(std::uint32_t level, std::uint32_t place, const Reduction& reduction);
    void publish_result(CollectiveResult& entry, std::uint64_t done, const void* value, std::uint64_t size);
    void read_result(VNodeState& self, const CollectiveResult& entry, void* to, std::uint64_t size) const;
    void make_room_for_round(VNodeState& self, bool cast, std::uint32_t round);
    [[nodiscard]] bool rounds_committed_beyond(bool cast, std::uint32_t round);

    // messages.cpp
    void file(VNodeState& self, Channel& channel, const RecordRef& ref);
    void drop_duplicate(VNodeState& self, const Channel& channel, const RecordRef& ref);
    void compare_duplicate(const VNodeState& self, const RecordRef& original, const RecordRef& again) const;
    void wait_for_room(VNodeState& self, std::uint32_t to);
    void check_peer(const VNodeState& self, const char* call, std::uint32_t peer, std::uint32_t tag) const;
    [[noreturn]] void refuse_peer(const VNodeState& self, const char* call, std::uint32_t peer,
                                  std::uint32_t tag) const;

    // verify.cpp
    void note(VNodeState& self, const TraceItem& item);
    void note_fields(VNodeState& self);
    [[nodiscard]] bool verify_step(VNodeState& self);
    [[noreturn]] void report_difference(const VNodeState& self, const TraceItem* first, const TraceItem* second) const;

    RuntimeState* runtime_;
    std::string name_;
    DomainOptions options_;
    std::vector<FieldDeclaration> declarations_;
    DomainHeader* header_{nullptr};

    std::vector<std::unique_ptr<VNodeState>> states_;  ///< By VNode; null unless this member executes it.
    std::vector<std::uint32_t> owned_;                 ///< VNodes with a state.
    std::deque<VNodeState*> ready_;
    std::vector<VNodeState*> collective_waiters_;
    std::vector<VNodeState*> gate_waiters_;
    std::vector<VNodeState*> room_waiters_;

    CollectiveMemory collectives_;
    std::vector<std::byte> combined_;  ///< Kept for its memory only.

    StepFunction step_;
    std::exception_ptr step_error_;
    VNodeState* failed_{nullptr};
    std::uint32_t phases_{0};  ///< run_phase calls so far.
    std::uint32_t gathers_{0};
    std::uint32_t phase_{0};
    std::uint64_t phase_steps_{0};
    bool initialising_{false};
    bool in_phase_{false};
    bool unwinding_{false};
    std::uint32_t attention_seen_{0};
    std::uint64_t directory_seen_{~std::uint64_t{0}};
    std::uint64_t moves_seen_{~std::uint64_t{0}};
    std::uint64_t collective_seen_{0};
    std::uint32_t done_cursor_{0};  ///< VNodes below it have done the phase.
    std::uint32_t gate_cursor_{0};  ///< VNodes below it have come to the checkpoint that is due.
    std::uint64_t gate_cursor_serial_{0};
    std::uint64_t closed_number_{0};  ///< Global recovery: every VNode has committed this cut.
    std::uint32_t closed_cursor_{0};
    std::uint32_t generation_{0};
    std::uint32_t cut_serial_{0};    ///< Global recovery: serial of the cut the present generation began at.
    std::uint32_t unfinished_{0};    ///< Owned VNodes that have not finished the phase.
    std::uint32_t resumed_from_{0};  ///< Slot whose VNodes were adopted last.
    bool resumption_shown_{true};    ///< The first repeated step after that adoption is in the timeline.
};

}  // namespace phoenix::detail
