#include "queens/board.hpp"

#include <gtest/gtest.h>

namespace queens {
namespace {

TEST(Board, CountsWhatIsKnown) {
    for (unsigned board = 1; board <= 10; ++board)
        EXPECT_EQ(count_solutions(whole_search(), board), known_solutions(board)) << board;
    EXPECT_FALSE(known_solutions(board_max).has_value());
}

/// Divides down to `rows` queens, and adds up solutions and credit.
void search(const Task& task, unsigned board, unsigned rows, std::uint64_t& solutions, std::uint64_t& credit) {
    if (task.row == rows || task.row == board) {
        solutions += count_solutions(task, board);
        credit += task.credit;
        return;
    }
    const Division division = divide(task, board);
    credit += division.credit_left;
    for (const Task& part : division.tasks) {
        EXPECT_GT(part.credit, 0U);
        search(part, board, rows, solutions, credit);
    }
}

TEST(Board, DivisionLosesNeitherSolutionsNorCredit) {
    for (const unsigned board : {1U, 2U, 3U, 4U, 8U, 9U})
        for (unsigned rows = 0; rows <= 4; ++rows) {
            std::uint64_t solutions = 0;
            std::uint64_t credit = 0;
            search(whole_search(), board, rows, solutions, credit);
            EXPECT_EQ(solutions, known_solutions(board)) << board << " " << rows;
            EXPECT_EQ(credit, credit_total) << board << " " << rows;
        }
}

TEST(Board, CreditSufficesForTheLargestBoard) {
    std::uint64_t least = credit_total;
    Task task = whole_search();
    for (int row = 0; row < 3; ++row) {
        const Division division = divide(task, board_max);
        ASSERT_FALSE(division.tasks.empty());
        task = division.tasks.front();
        least = std::min(least, task.credit);
    }
    EXPECT_GT(least, 0U);
}

}  // namespace
}  // namespace queens
