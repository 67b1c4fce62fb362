#pragma once
/// What a member does in the search: works on the tasks of its VNodes, takes VNodes from busy members and gives some
/// away.

#include "queens/board.hpp"
#include "queens/ledger.hpp"

#include <cstdint>
#include <deque>
#include <phoenix/space.hpp>
#include <vector>

namespace queens {

/// VNodes of the space: 0 keeps the ledger, 1 .. work_vnodes have tasks, the rest are desks, one for each member.
struct Numbering {
    std::uint32_t work_vnodes{0};
    static constexpr std::uint32_t desk_count = 256;  ///< As many as a job can have members.

    [[nodiscard]] std::uint32_t total() const noexcept { return 1 + work_vnodes + desk_count; }
    [[nodiscard]] std::uint32_t first_desk() const noexcept { return 1 + work_vnodes; }
    [[nodiscard]] bool is_work(std::uint32_t vnode) const noexcept { return vnode >= 1 && vnode <= work_vnodes; }
    /// Where a task is sent: spread evenly, and the same for the same task.
    [[nodiscard]] std::uint32_t vnode_of(const Task& task) const noexcept;
};

class Worker {
  public:
    Worker(phoenix::Space space, Numbering numbering, unsigned board, std::uint32_t preferred_desk);

    /// Takes part until the search is over. @error member_lost  A member died: its VNodes' tasks are gone with it.
    [[nodiscard]] Totals work();

  private:
    void take_desk(std::uint32_t preferred);
    void enter();
    void open_books();
    void handle(const phoenix::SpaceMessage& message);
    void handle_books(const phoenix::SpaceMessage& message);
    void share_with(std::uint32_t desk);
    void take(const std::vector<std::uint32_t>& vnodes);
    void keep(std::uint32_t vnode, const std::vector<Task>& tasks);
    void do_one_task();
    void ask(const std::vector<Ledger::Ask>& asks);
    void close_books();

    phoenix::Space space_;
    Numbering numbering_;
    unsigned board_;
    std::uint32_t desk_{0};
    std::vector<std::vector<Task>> tasks_;  ///< By VNode. In this process only: what a Space leaves to the application.
    std::deque<std::uint32_t> with_tasks_;  ///< VNodes that have tasks, each once.
    Ledger ledger_;
    bool keeps_books_{false};
    bool welcome_{false};
    bool hungry_{false};
    bool over_{false};
    Totals totals_;
};

}  // namespace queens
