#include "membership/location.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace phoenix {
namespace {

constexpr NodeId a{0};
constexpr NodeId b{1};
constexpr NodeId c{2};

constexpr LocationWord here_on(NodeId node, std::uint64_t epoch) {
    return LocationWord::make(node, LocationState::here, epoch);
}
constexpr LocationWord away_on(NodeId node, std::uint64_t epoch) {
    return LocationWord::make(node, LocationState::away, epoch);
}

TEST(Location, AHandOverTakesOneEpochAndThreeChanges) {
    const LocationWord leaving = here_on(a, 4).given_to(b);
    EXPECT_EQ(leaving, LocationWord::make(b, LocationState::leaving, 5));
    EXPECT_FALSE(leaving.here());
    EXPECT_EQ(away_on(a, 4).arrived_at(b, 5), here_on(b, 5));
    EXPECT_TRUE(waits_for(leaving, b, 5));
    EXPECT_EQ(leaving.left(), away_on(b, 5));
}

TEST(Location, OnlyTheAnswerThatIsWaitedForEndsAHandOver) {
    const LocationWord leaving = here_on(a, 4).given_to(b);
    EXPECT_FALSE(waits_for(leaving, b, 4));
    EXPECT_FALSE(waits_for(leaving, c, 5));
    EXPECT_FALSE(waits_for(leaving.left(), b, 5));
    EXPECT_FALSE(waits_for(here_on(b, 5), b, 5));
}

TEST(Location, AStateIsStoredOnce) {
    EXPECT_EQ(arrival_of(away_on(a, 4), 5), Arrival::store);
    EXPECT_EQ(arrival_of(here_on(b, 5), 5), Arrival::stored_once);
    EXPECT_EQ(arrival_of(here_on(b, 5).given_to(c), 5), Arrival::stored_once);
    // It may come back before this node has heard that it had arrived.
    EXPECT_EQ(arrival_of(here_on(a, 4).given_to(b), 6), Arrival::store);
    EXPECT_EQ(here_on(a, 4).given_to(b).arrived_at(a, 6), here_on(a, 6));
}

TEST(Location, MessagesFollowTheStateAndNeverGoBack) {
    EXPECT_EQ(route_of(here_on(b, 5), 5), Route::deliver);
    EXPECT_EQ(route_of(here_on(b, 5), 3), Route::deliver);
    EXPECT_EQ(route_of(away_on(a, 4), std::nullopt), Route::forward);
    EXPECT_EQ(route_of(away_on(a, 4), 5), Route::hold) << "the state is on its way to this node";
    EXPECT_EQ(route_of(here_on(b, 5).given_to(c), 5), Route::forward);
    EXPECT_EQ(route_of(here_on(b, 5).given_to(c), std::nullopt), Route::forward);
}

TEST(Location, HintsAreBelievedIfTheyAreNewAndNameAnother) {
    EXPECT_EQ(learned(away_on(a, 4), c, b, 6), away_on(b, 6));
    EXPECT_EQ(learned(away_on(a, 4), c, b, 4), std::nullopt);
    EXPECT_EQ(learned(away_on(a, 4), b, b, 6), std::nullopt) << "its own state has yet to come";
    EXPECT_EQ(learned(here_on(c, 4), c, b, 6), std::nullopt);
    EXPECT_EQ(learned(here_on(c, 4).given_to(a), c, b, 6), std::nullopt) << "it keeps the state";
}

TEST(Location, TheFirstPlacesAreEvenBlocks) {
    for (const std::uint32_t vnodes : {1U, 7U, 64U, 1000U})
        for (const std::uint32_t nodes : {1U, 2U, 3U, 5U}) {
            std::vector<std::uint32_t> loads(nodes);
            std::uint32_t last = 0;
            for (std::uint32_t v = 0; v < vnodes; ++v) {
                const std::uint32_t node = first_node_of(v, vnodes, nodes).value;
                ASSERT_LT(node, nodes);
                EXPECT_GE(node, last);
                last = node;
                ++loads[node];
            }
            for (const std::uint32_t load : loads) {
                EXPECT_GE(load, vnodes / nodes);
                EXPECT_LE(load, (vnodes + nodes - 1) / nodes);
            }
        }
}

}  // namespace
}  // namespace phoenix
