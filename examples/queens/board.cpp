#include "queens/board.hpp"

#include <array>

namespace queens {

namespace {

constexpr std::uint32_t all_columns(unsigned board) noexcept { return (std::uint32_t{1} << board) - 1; }

std::uint64_t count_below(std::uint32_t columns, std::uint32_t falling, std::uint32_t rising,
                          std::uint32_t all) noexcept {
    if (columns == all) return 1;
    std::uint64_t count = 0;
    for (std::uint32_t free = all & ~(columns | falling | rising); free != 0;) {
        const std::uint32_t queen = free & (~free + 1);
        free ^= queen;
        count += count_below(columns | queen, (falling | queen) << 1, (rising | queen) >> 1, all);
    }
    return count;
}

}  // namespace

Division divide(const Task& task, unsigned board) {
    Division division;
    const std::uint32_t all = all_columns(board);
    for (std::uint32_t free = all & ~(task.columns | task.falling | task.rising); free != 0;) {
        const std::uint32_t queen = free & (~free + 1);
        free ^= queen;
        division.tasks.push_back(
            {task.columns | queen, (task.falling | queen) << 1 & all, (task.rising | queen) >> 1, task.row + 1, 0});
    }
    const std::uint64_t share = division.tasks.empty() ? 0 : task.credit / division.tasks.size();
    for (Task& part : division.tasks) part.credit = share;
    division.credit_left = task.credit - share * division.tasks.size();
    return division;
}

std::uint64_t count_solutions(const Task& task, unsigned board) noexcept {
    return count_below(task.columns, task.falling, task.rising, all_columns(board));
}

std::optional<std::uint64_t> known_solutions(unsigned board) noexcept {
    static constexpr std::array<std::uint64_t, 19> table{
        1, 1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200, 73712, 365596, 2279184, 14772512, 95815104, 666090624};
    if (board >= table.size()) return std::nullopt;
    return table[board];
}

}  // namespace queens
