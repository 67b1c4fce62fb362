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
        std::size_t chain;
        std::size_t index;
        friend bool operator==(Location, Location) = default;
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
    [[nodiscard]] Task advance(std::uint32_t vnode);
    [[nodiscard]] Task commit_step(std::uint32_t vnode);
    [[nodiscard]] Task hand_over(std::uint32_t vnode);
    [[nodiscard]] Task move_if_asked(std::uint32_t vnode);
    [[nodiscard]] Task give_to(std::uint32_t vnode, std::uint32_t receiver);
    /// Leaves if it drains and no word names it.
    [[nodiscard]] Task leave_if_drained();
    [[nodiscard]] Task rest();
    // --- mail.cpp ----------------------------------------------------------------------------------------------
    /// An open end of a log: of a writer, or of a reader.
    struct Open {
        std::size_t chain{};
        std::size_t cursor{};
    };
    [[nodiscard]] Task find_logs();
    [[nodiscard]] Task poll();
    [[nodiscard]] Task send(Record record);
    /// Finds or makes the log towards `reader`; the one to itself if that is no member. See route_.
    [[nodiscard]] Task find_route(std::uint32_t reader);
    [[nodiscard]] Task open_log(std::uint32_t reader, Incarnation incarnation);
    [[nodiscard]] Task close_log(std::uint32_t reader);
    /// After publishing by route_: whether the view that decided on it still says the same. See route_right_.
    [[nodiscard]] Task look_at_route_again();
    /// From members that are gone, by a view read now.
    [[nodiscard]] Task part();
    void recycle();
    // --- service.cpp -------------------------------------------------------------------------------------------
    [[nodiscard]] Task vacate();
    [[nodiscard]] Task sweep();
    [[nodiscard]] Task find_remains(std::uint32_t slot);
    void accept(Execution& execution, const Record& record, Location location);
    [[nodiscard]] Item* deliverable(Execution& execution, std::uint32_t source, Tag tag);
    bool receive(std::uint32_t vnode, const Operation& operation);

    [[nodiscard]] Task retire_or_come_back();
    [[nodiscard]] PublishedMember published_as(PublishedState state) const;
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
    std::array<std::optional<Open>, slot_max> writers_;  ///< By reader.
    std::array<std::optional<Open>, slot_max> readers_;  ///< By writer.
    std::vector<std::size_t> closed_;
    struct Route {
        std::size_t chain{};
        std::uint32_t reader{};
        bool is_new{};
        bool detour{};      ///< The owner is no member: into the log to itself.
        ViewWord looked{};  ///< By which it was found to be none.
    } route_;
    bool route_right_{};
    ViewWord parted_{};
    bool part_again_{};
    std::uint32_t attention_seen_{};
    bool looked_{};
    bool waits_to_retire_{};  ///< Drained; has published that it leaves, or is about to.
    bool retired_{};
    bool progress_{};
    bool worker_ended_{};

    // service thread
    ViewWord view_word_{};
    bool knows_placement_{};
    bool view_changed_{};  ///< By the last proposal.
    View view_;
    std::array<AtomicDirectoryWord, vnode_max> words_seen_{};
    std::array<AtomicMoveRequest, vnode_max> requests_seen_{};
    DomainObservation domain_;
    Observation observation_;
    RemainsTable remains_{};
};

}  // namespace phoenix::sim
