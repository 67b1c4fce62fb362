#include <gmock/gmock.h>
#include <numeric>
#include <phoenix/array.hpp>
#include <vector>

namespace phoenix {
namespace {

using testing::ElementsAre;

struct Runs {
    std::vector<int> values;
    std::vector<std::uint64_t> lengths;
};

Runs runs_of(const Region<const int>& region) {
    Runs runs;
    region.for_each_run([&](const int* run, std::uint64_t n) {
        runs.values.insert(runs.values.end(), run, run + n);
        runs.lengths.push_back(n);
    });
    return runs;
}

class Regions : public testing::Test {
  protected:
    Regions() : memory_(60) { std::iota(memory_.begin(), memory_.end(), 0); }
    std::vector<int> memory_;  // of rank 2: 6 rows of 10
};

TEST_F(Regions, ARowOfRankTwoIsOneRun) {
    const Runs runs = runs_of({&memory_[12], {1, 4, 1}, {10, 1, 1}});
    EXPECT_THAT(runs.values, ElementsAre(12, 13, 14, 15));
    EXPECT_THAT(runs.lengths, ElementsAre(4));
}

TEST_F(Regions, RowsOfRankTwoAreOneRunEach) {
    const Runs runs = runs_of({&memory_[12], {2, 3, 1}, {10, 1, 1}});
    EXPECT_THAT(runs.values, ElementsAre(12, 13, 14, 22, 23, 24));
    EXPECT_THAT(runs.lengths, ElementsAre(3, 3));
}

TEST_F(Regions, AColumnIsVisitedElementByElement) {
    const Runs runs = runs_of({&memory_[12], {3, 1, 1}, {10, 1, 1}});
    EXPECT_THAT(runs.values, ElementsAre(12, 22, 32));
    EXPECT_THAT(runs.lengths, ElementsAre(1, 1, 1));
}

TEST_F(Regions, RankThreeGoesPlaneByPlane) {
    const Runs runs = runs_of({&memory_[0], {2, 2, 3}, {30, 10, 1}});
    EXPECT_THAT(runs.values, ElementsAre(0, 1, 2, 10, 11, 12, 30, 31, 32, 40, 41, 42));
    EXPECT_THAT(runs.lengths, ElementsAre(3, 3, 3, 3));
}

TEST_F(Regions, OfRankOneAreOneRunAndAPointIsOneToo) {
    EXPECT_THAT(runs_of({&memory_[5], {4, 1, 1}, {1, 1, 1}}).lengths, ElementsAre(4));
    EXPECT_THAT(runs_of({&memory_[5], {1, 1, 1}, {10, 1, 1}}).values, ElementsAre(5));
}

TEST_F(Regions, WithoutElementsHaveNoRuns) {
    EXPECT_TRUE(runs_of({&memory_[0], {3, 0, 1}, {10, 1, 1}}).lengths.empty());
}

}  // namespace
}  // namespace phoenix
