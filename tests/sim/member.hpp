#pragma once
/// A member process of the simulation: a worker that executes VNodes and a service thread that keeps the membership,
/// with the same decide, placement and directory words as the runtime.

#include "sim/world.hpp"

namespace phoenix::sim {

class Member {
  public:
    Member(World& world, Process& process, std::uint64_t ticket)
        : world_(world), process_(process), slot_(process.slot), ticket_(ticket) {}

    [[nodiscard]] Task worker();
    [[nodiscard]] Task service();

  private:
    /// Where a copy of a record lies.
    struct Location {
        std::uint32_t writer;
        std::uint32_t reader;
        std::size_t index;
    };
    struct Item {
        Record record;
        std::vector<Location> copies;
        bool taken{};  ///< Consumed by the step that runs, not committed yet.
    };
    /// A VNode that this member executes: all of it is lost with the process.
    struct Execution {
        DirectoryWord word;
        Commit commit;  ///< What the last commit said, and what the next one will say.
        std::uint64_t state{};
        std::uint32_t step{};
        std::size_t at{};                                ///< Operation within the step.
        std::array<std::vector<Item>, vnode_max> inbox;  ///< By source, ascending by sequence.
    };

    [[nodiscard]] Task look_at_directory();
    [[nodiscard]] Task adopt(std::uint32_t vnode, DirectoryWord word);
    [[nodiscard]] Task poll();
    [[nodiscard]] Task advance(std::uint32_t vnode);
    [[nodiscard]] Task send(Record record);
    [[nodiscard]] Task commit_step(std::uint32_t vnode);
    [[nodiscard]] Task hand_over(std::uint32_t vnode);
    [[nodiscard]] Task move_if_asked(std::uint32_t vnode);
    [[nodiscard]] Task give_to(std::uint32_t vnode, std::uint32_t receiver);
    /// Leaves if it drains and no word names it.
    [[nodiscard]] Task leave_if_drained();
    [[nodiscard]] Task rest();
    void accept(Execution& execution, const Record& record, Location location);
    [[nodiscard]] Item* deliverable(Execution& execution, std::uint32_t source, Tag tag);
    bool receive(std::uint32_t vnode, const Operation& operation);

    [[nodiscard]] Task retire_or_come_back();
    [[nodiscard]] Task read_view();
    [[nodiscard]] Task observe();
    [[nodiscard]] Task carry_out(Decision decision);
    [[nodiscard]] Task propose(View view);
    [[nodiscard]] Task give_notice(std::uint32_t slot);

    World& world_;
    Process& process_;
    std::uint32_t slot_;
    std::uint64_t ticket_;

    // worker
    std::array<std::optional<Execution>, vnode_max> executions_;
    std::array<std::size_t, slot_max> cursors_{};
    std::uint32_t attention_seen_{};
    bool looked_{};
    bool waits_to_retire_{};  ///< Drained; has published that it leaves, or is about to.
    bool retired_{};
    bool progress_{};
    bool worker_ended_{};

    // service thread
    ViewWord view_word_{};
    bool view_changed_{};  ///< By the last proposal.
    View view_;
    std::array<AtomicDirectoryWord, vnode_max> words_seen_{};
    std::array<AtomicMoveRequest, vnode_max> requests_seen_{};
    DomainObservation domain_;
    Observation observation_;
};

}  // namespace phoenix::sim
