#include "queens/worker.hpp"

#include <array>
#include <chrono>
#include <phoenix/error.hpp>
#include <thread>

namespace queens {

namespace {

enum Tag : std::uint32_t { hello, welcome, task, done, hungry, share, given, shared, over };

constexpr std::uint32_t ledger_vnode = 0;
// Tasks with fewer queens are divided, others searched: some thousand of them keep many members busy, and each still
// takes far longer than a message.
constexpr std::uint32_t rows_divided = 3;

struct Done {
    std::uint64_t credit{0};
    std::uint64_t solutions{0};
};
struct Shared {
    std::uint32_t with{0};
    std::uint32_t count{0};
};

template <typename T>
T only(const phoenix::SpaceMessage& message) {
    return message.values<T>().at(0);
}

}  // namespace

std::uint32_t Numbering::vnode_of(const Task& task) const noexcept {
    std::uint64_t bits =
        (std::uint64_t{task.falling} << 32 | task.rising) ^ (std::uint64_t{task.columns} << 16) ^ task.row;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ULL;  // splitmix64, S. Vigna
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebULL;
    return 1 + static_cast<std::uint32_t>((bits ^ (bits >> 31)) % work_vnodes);
}

Worker::Worker(phoenix::Space space, Numbering numbering, unsigned board, std::uint32_t preferred_desk)
    : space_(space), numbering_(numbering), board_(board), tasks_(numbering.total()) {
    take_desk(preferred_desk);
}

Totals Worker::work() {
    enter();
    while (!over_) {
        if (const auto message = space_.try_receive()) {
            handle(*message);
        } else if (!with_tasks_.empty()) {
            do_one_task();
        } else {
            if (!hungry_) space_.send(desk_, ledger_vnode, Tag::hungry, desk_);
            hungry_ = true;
            handle(space_.receive());
        }
    }
    space_.release(space_.owned());
    return totals_;
}

void Worker::take_desk(std::uint32_t preferred) {
    for (std::uint32_t i = 0; i < Numbering::desk_count; ++i) {
        const std::uint32_t desk = numbering_.first_desk() + (preferred + i) % Numbering::desk_count;
        if (space_.assume(std::array{desk}).empty()) continue;
        desk_ = desk;
        return;
    }
    throw phoenix::Error{phoenix::Errc::invalid_argument, "queens has desks for 256 members, and all are taken"};
}

// Whoever gets VNode 0 keeps the books; the others wait until they are entered in them. A member that comes when the
// search is over finds VNode 0 free again, and in it the result.
void Worker::enter() {
    space_.send(desk_, ledger_vnode, Tag::hello, desk_);
    while (!welcome_ && !over_) {
        if (!keeps_books_ && !space_.assume(std::array{ledger_vnode}).empty()) open_books();
        if (const auto message = space_.try_receive()) {
            handle(*message);
        } else {
            std::this_thread::sleep_for(std::chrono::milliseconds{1});
        }
    }
}

void Worker::open_books() {
    keeps_books_ = true;
    while (const auto message = space_.try_receive()) handle(*message);
    if (over_) {  // they were closed: for those who come even later
        space_.send(ledger_vnode, ledger_vnode, Tag::over, totals_);
        return;
    }
    std::vector<std::uint32_t> all(numbering_.work_vnodes);
    for (std::uint32_t i = 0; i < numbering_.work_vnodes; ++i) all[i] = 1 + i;
    (void)space_.assume(all);
    const Task whole = whole_search();
    space_.send(ledger_vnode, numbering_.vnode_of(whole), Tag::task, whole);
}

void Worker::handle(const phoenix::SpaceMessage& message) {
    switch (message.tag) {
        case Tag::welcome: welcome_ = true; return;
        case Tag::task: keep(message.to, message.values<Task>()); return;
        case Tag::share: share_with(only<std::uint32_t>(message)); return;
        case Tag::given: take(message.values<std::uint32_t>()); return;
        case Tag::over:
            over_ = true;
            totals_ = only<Totals>(message);
            return;
        default: handle_books(message);
    }
}

void Worker::handle_books(const phoenix::SpaceMessage& message) {
    switch (message.tag) {
        case Tag::hello:
            ledger_.member_came(message.from);
            space_.send(ledger_vnode, message.from, Tag::welcome, message.from);
            return;
        case Tag::hungry: ask(ledger_.member_hungry(message.from)); return;
        case Tag::shared: {
            const auto result = only<Shared>(message);
            ask(ledger_.member_shared(message.from, result.with, result.count));
            return;
        }
        case Tag::done: {
            const auto result = only<Done>(message);
            ask(ledger_.task_done(result.credit, result.solutions));
            if (ledger_.finished()) close_books();
            return;
        }
        default: throw phoenix::Error{phoenix::Errc::internal, "queens met a message with an unknown tag"};
    }
}

// Hands half of the VNodes that have tasks to another member: the tasks of a VNode become a message from it to itself,
// which its next owner receives first of all, before what others send to it meanwhile.
void Worker::share_with(std::uint32_t desk) {
    const std::size_t count = with_tasks_.size() / 2;
    std::vector<std::uint32_t> vnodes(with_tasks_.begin(), with_tasks_.begin() + static_cast<std::ptrdiff_t>(count));
    with_tasks_.erase(with_tasks_.begin(), with_tasks_.begin() + static_cast<std::ptrdiff_t>(count));
    for (const std::uint32_t vnode : vnodes) {
        space_.send(vnode, vnode, Tag::task, std::span<const Task>{tasks_[vnode]});
        tasks_[vnode].clear();
    }
    space_.release(vnodes);
    if (!vnodes.empty()) space_.send(desk_, desk, Tag::given, std::span<const std::uint32_t>{vnodes});
    space_.send(desk_, ledger_vnode, Tag::shared, Shared{desk, static_cast<std::uint32_t>(count)});
}

void Worker::take(const std::vector<std::uint32_t>& vnodes) {
    hungry_ = false;
    if (space_.assume(vnodes).size() != vnodes.size())
        throw phoenix::Error{phoenix::Errc::internal, "queens was given VNodes that somebody else has"};
}

void Worker::keep(std::uint32_t vnode, const std::vector<Task>& tasks) {
    if (tasks_[vnode].empty() && !tasks.empty()) with_tasks_.push_back(vnode);
    tasks_[vnode].insert(tasks_[vnode].end(), tasks.begin(), tasks.end());
}

void Worker::do_one_task() {
    const std::uint32_t vnode = with_tasks_.back();
    const Task next = tasks_[vnode].back();
    tasks_[vnode].pop_back();
    if (tasks_[vnode].empty()) with_tasks_.pop_back();
    Done result{next.credit, 0};
    if (next.row < rows_divided && next.row < board_) {
        const Division division = divide(next, board_);
        for (const Task& part : division.tasks) space_.send(vnode, numbering_.vnode_of(part), Tag::task, part);
        result.credit = division.credit_left;
    } else {
        result.solutions = count_solutions(next, board_);
    }
    if (result.credit != 0) space_.send(vnode, ledger_vnode, Tag::done, result);
}

void Worker::ask(const std::vector<Ledger::Ask>& asks) {
    for (const auto& [desk, with] : asks) space_.send(ledger_vnode, desk, Tag::share, with);
}

void Worker::close_books() {
    for (const std::uint32_t desk : ledger_.desks()) space_.send(ledger_vnode, desk, Tag::over, ledger_.totals());
    space_.send(ledger_vnode, ledger_vnode, Tag::over, ledger_.totals());
    space_.release(std::array{ledger_vnode});
    keeps_books_ = false;
}

}  // namespace queens
