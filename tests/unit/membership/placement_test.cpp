#include "membership/placement.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <random>

namespace phoenix {
namespace {

using testing::ElementsAre;

std::vector<Adopter> adopters_with(const std::vector<std::uint64_t>& loads) {
    std::vector<Adopter> adopters;
    for (std::size_t i = 0; i < loads.size(); ++i) {
        adopters.push_back(Adopter{MemberSlot{static_cast<std::uint32_t>(10 + i)}, loads[i]});
    }
    return adopters;
}

std::vector<std::uint32_t> owners_of(std::uint64_t orphans, const std::vector<Adopter>& adopters) {
    RunPlacement placement{orphans, adopters};
    std::vector<std::uint32_t> owners;
    for (std::uint64_t i = 0; i < orphans; ++i) {
        owners.push_back(placement.next().value);
    }
    return owners;
}

TEST(Placement, WithoutLoadsItIsBlocks) {
    EXPECT_THAT(owners_of(7, adopters_with({0, 0, 0})), ElementsAre(10, 10, 10, 11, 11, 12, 12));
    EXPECT_THAT(owners_of(6, adopters_with({0, 0, 0})), ElementsAre(10, 10, 11, 11, 12, 12));
}

TEST(Placement, WithMoreMembersThanVNodesTheSurplusOwnsNothing) {
    EXPECT_THAT(owners_of(2, adopters_with({0, 0, 0, 0})), ElementsAre(10, 11));
    EXPECT_THAT(quotas_for(2, adopters_with({0, 0, 0, 0})), ElementsAre(1, 1, 0, 0));
}

TEST(Placement, TheLeastLoadedGetMost) { EXPECT_THAT(quotas_for(10, adopters_with({8, 2, 5})), ElementsAre(1, 6, 3)); }

TEST(Placement, NobodyToTakeThemTakesNothing) { EXPECT_TRUE(quotas_for(5, {}).empty()); }

TEST(Placement, NobodyLosesAndTheResultIsAsEvenAsItCanBe) {
    std::mt19937_64 random{7};
    for (int round = 0; round < 2000; ++round) {
        std::vector<std::uint64_t> loads(1 + random() % 9);
        std::generate(loads.begin(), loads.end(), [&] { return random() % 20; });
        const std::uint64_t orphans = random() % 60;
        const std::vector<Adopter> adopters = adopters_with(loads);
        const std::vector<std::uint64_t> quotas = quotas_for(orphans, adopters);
        EXPECT_EQ(std::accumulate(quotas.begin(), quotas.end(), std::uint64_t{0}), orphans);
        // As even as possible: nobody who got something stands more than one above anybody else.
        for (std::size_t i = 0; i < loads.size(); ++i) {
            for (std::size_t j = 0; quotas[i] > 0 && j < loads.size(); ++j) {
                EXPECT_LE(loads[i] + quotas[i], loads[j] + quotas[j] + 1) << "round " << round;
            }
        }
    }
}

TEST(Placement, BatchesGiveTheSameBlocksAsAllAtOnce) {
    const std::vector<std::uint32_t> whole = owners_of(100, adopters_with({0, 0, 0}));
    std::vector<std::uint32_t> batched;
    std::map<std::uint32_t, std::uint64_t> loads{{10, 0}, {11, 0}, {12, 0}};
    while (batched.size() < 100) {
        const std::vector<std::uint32_t> rest =
            owners_of(100 - batched.size(), adopters_with({loads[10], loads[11], loads[12]}));
        for (std::size_t i = 0; i < std::min<std::size_t>(rest.size(), 13); ++i) {
            batched.push_back(rest[i]);
            ++loads[rest[i]];
        }
    }
    EXPECT_EQ(batched, whole);
}

}  // namespace
}  // namespace phoenix
