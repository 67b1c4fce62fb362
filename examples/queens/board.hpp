#pragma once
/// Placing N queens on an N x N board: partial boards as tasks that can be divided or searched.

#include <cstdint>
#include <optional>
#include <vector>

namespace queens {

inline constexpr unsigned board_max = 24;

/// A board with a queen in each of its first `row` rows. Bit c of a mask: column c of the next row is attacked.
struct Task {
    std::uint32_t columns{0};
    std::uint32_t falling{0};  ///< By diagonals that go one column up with each row.
    std::uint32_t rising{0};   ///< By diagonals that go one column down with each row.
    std::uint32_t row{0};
    /// Share of the whole search, of `credit_total`. Divided with the task and given back with its result, so that the
    /// search is over when all of it is back, whatever order the messages arrive in (F. Mattern, 1989).
    std::uint64_t credit{0};
    friend bool operator==(const Task&, const Task&) = default;
};

inline constexpr std::uint64_t credit_total = std::uint64_t{1} << 62;

/// The empty board with all the credit.
[[nodiscard]] constexpr Task whole_search() noexcept { return {0, 0, 0, 0, credit_total}; }

/// A task's continuations by one more queen, and the credit that is left over: all of it where there is none.
struct Division {
    std::vector<Task> tasks;
    std::uint64_t credit_left{0};
};
[[nodiscard]] Division divide(const Task& task, unsigned board);

/// Number of ways to complete `task`.
[[nodiscard]] std::uint64_t count_solutions(const Task& task, unsigned board) noexcept;

/// Solutions for the empty board (OEIS A000170), for boards whose number is tabulated here.
[[nodiscard]] std::optional<std::uint64_t> known_solutions(unsigned board) noexcept;

}  // namespace queens
