#include "control/fault_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <string>

namespace phoenix {
namespace {

using testing::HasSubstr;

std::string sentence_for(std::string_view text) {
    const auto fault = parse_fault(text);
    return fault ? "parsed" : fault.error().sentence;
}

std::string chaos_sentence_for(std::string_view text) {
    const auto chaos = parse_chaos(text);
    return chaos ? "parsed" : chaos.error().sentence;
}

TEST(ParseFault, ReadsAKillOfAMember) {
    const auto fault = parse_fault("kill:2@300");
    ASSERT_TRUE(fault);
    EXPECT_EQ(*fault, (PlannedFault{.kind = FaultKind::kill, .target = 2, .step = 300}));
}

TEST(ParseFault, ReadsAKillOfWhoeverCoordinates) {
    const auto fault = parse_fault("kill:coordinator@50");
    ASSERT_TRUE(fault);
    EXPECT_EQ(*fault, (PlannedFault{.kind = FaultKind::kill, .target = fault_target_coordinator, .step = 50}));
}

TEST(ParseFault, ReadsAStopWithAndWithoutTheTimeAfterWhichItGoesOn) {
    const auto forever = parse_fault("stop:1@200");
    ASSERT_TRUE(forever);
    EXPECT_EQ(*forever, (PlannedFault{.kind = FaultKind::stop, .target = 1, .step = 200}));
    const auto seconds = parse_fault("stop:1@200+3s");
    ASSERT_TRUE(seconds);
    EXPECT_EQ(seconds->resume_after_ns, 3'000'000'000U);
    const auto milliseconds = parse_fault("stop:1@200+250ms");
    ASSERT_TRUE(milliseconds);
    EXPECT_EQ(milliseconds->resume_after_ns, 250'000'000U);
}

TEST(ParseFault, ReadsJoinsAndRetirements) {
    const auto join = parse_fault("join:2@500");
    ASSERT_TRUE(join);
    EXPECT_EQ(*join, (PlannedFault{.kind = FaultKind::join, .target = fault_target_anybody, .step = 500, .count = 2}));
    const auto retire = parse_fault("retire:3@40");
    ASSERT_TRUE(retire);
    EXPECT_EQ(*retire, (PlannedFault{.kind = FaultKind::retire, .target = 3, .step = 40}));
    const auto coordinator = parse_fault("retire:coordinator@40");
    ASSERT_TRUE(coordinator);
    EXPECT_EQ(coordinator->target, fault_target_coordinator);
}

TEST(ParseFault, ReadsAKillOfTheChosenNodesPort) {
    const auto port = parse_fault("kill:port1@50");
    ASSERT_TRUE(port);
    EXPECT_EQ(*port,
              (PlannedFault{.kind = FaultKind::kill_port, .target = fault_target_anybody, .step = 50, .node = 1}));
    EXPECT_THAT(sentence_for("kill:port@3"), HasSubstr("position 10 the number of a node"));
    EXPECT_THAT(sentence_for("kill:port64@3"), HasSubstr("position 10 the number of a node from 0 to 63"));
    EXPECT_THAT(sentence_for("stop:port1@3"), HasSubstr("position 6 a member number"));
}

TEST(ParseFault, NamesThePositionAndWhatIsExpectedThere) {
    EXPECT_THAT(sentence_for("burn:2@3"), HasSubstr("position 1 'kill:', 'stop:', 'join:' or 'retire:' is expected"));
    EXPECT_THAT(sentence_for("kill:x@3"), HasSubstr("position 6 a member number"));
    EXPECT_THAT(sentence_for("kill:256@3"), HasSubstr("position 6 a member number"));
    EXPECT_THAT(sentence_for("kill:-1@3"), HasSubstr("position 6 a member number"));
    EXPECT_THAT(sentence_for("kill:2"), HasSubstr("position 7 '@'"));
    EXPECT_THAT(sentence_for("kill:2@"), HasSubstr("position 8 a step number is expected, but it ends"));
    EXPECT_THAT(sentence_for("kill:2@99999999999999999999"), HasSubstr("position 8 a step number"));
    EXPECT_THAT(sentence_for("kill:2@3+1s"), HasSubstr("position 9 the end"));
    EXPECT_THAT(sentence_for("stop:1@3+5"), HasSubstr("position 10 a time"));
    EXPECT_THAT(sentence_for("stop:1@3+0s"), HasSubstr("a time"));
    EXPECT_THAT(sentence_for("stop:1@3+5min"), HasSubstr("position 10 a time"));
    EXPECT_THAT(sentence_for("stop:1@3x"), HasSubstr("position 9 the end or '+' and a time"));
    EXPECT_THAT(sentence_for("join:0@3"), HasSubstr("position 6 a number of members from 1"));
    EXPECT_THAT(sentence_for("join:x@3"), HasSubstr("position 6 a number of members from 1"));
    EXPECT_THAT(sentence_for("retire:x@3"), HasSubstr("position 8 a member number"));
    EXPECT_THAT(sentence_for("retire:1@3+1s"), HasSubstr("position 11 the end"));
    EXPECT_THAT(sentence_for(""), HasSubstr("position 1"));
}

TEST(ParseChaos, ReadsSeedAndKillsInAnyOrder) {
    const auto both = parse_chaos("seed=7,kills=20");
    ASSERT_TRUE(both);
    EXPECT_EQ(both->seed, 7U);
    EXPECT_EQ(both->kills, 20U);
    const auto turned = parse_chaos("kills=2,seed=9");
    ASSERT_TRUE(turned);
    EXPECT_EQ(turned->seed, 9U);
    EXPECT_EQ(turned->kills, 2U);
    const auto seed_only = parse_chaos("seed=3");
    ASSERT_TRUE(seed_only);
    EXPECT_EQ(seed_only->kills, 1U);
}

TEST(ParseChaos, ReadsJoinsRetirementsAndMoves) {
    const auto all = parse_chaos("joins=4,seed=7,moves=50,retires=3");
    ASSERT_TRUE(all);
    EXPECT_EQ(all->seed, 7U);
    EXPECT_EQ(all->kills, 0U) << "one kill only where nothing is named";
    EXPECT_EQ(all->joins, 4U);
    EXPECT_EQ(all->retires, 3U);
    EXPECT_EQ(all->moves, 50U);
    EXPECT_EQ(all->losses(), 3U);
}

TEST(ParseChaos, NamesThePositionAndWhatIsExpectedThere) {
    EXPECT_THAT(chaos_sentence_for("sead=7"),
                HasSubstr("position 1 one of 'seed=', 'kills=', 'joins=', 'retires=', 'moves=', 'ports=' is expected"));
    EXPECT_THAT(chaos_sentence_for("seed="), HasSubstr("position 6 a number"));
    EXPECT_THAT(chaos_sentence_for("seed=7,"), HasSubstr("position 8 one of 'kills='"));
    EXPECT_THAT(chaos_sentence_for("seed=7,seed=8"), HasSubstr("position 8 one of 'kills='"));
    EXPECT_THAT(chaos_sentence_for("kills=1,kills=2"), HasSubstr("position 9 one of 'seed=', 'joins='"));
    EXPECT_THAT(chaos_sentence_for("kills=0"), HasSubstr("position 7 a number from 1"));
    EXPECT_THAT(chaos_sentence_for("kills=2x"), HasSubstr("position 8 ',' or the end"));
}

TEST(ChaosFaults, AreTheSameForTheSameSeedAndOthersForAnother) {
    EXPECT_EQ(chaos_faults({.seed = 7, .kills = 20}, 0), chaos_faults({.seed = 7, .kills = 20}, 0));
    EXPECT_NE(chaos_faults({.seed = 7, .kills = 20}, 0), chaos_faults({.seed = 8, .kills = 20}, 0));
}

TEST(ChaosFaults, ComeInTheOrderOfTheirStepsEachAfterTheOneBefore) {
    const std::vector<PlannedFault> faults = chaos_faults({.seed = 7, .kills = 20}, 3);
    ASSERT_EQ(faults.size(), 20U);
    EXPECT_EQ(faults[0].after, 0U);
    for (std::size_t index = 0; index < faults.size(); ++index) {
        EXPECT_EQ(faults[index].target, fault_target_picked);
        EXPECT_GE(faults[index].step_fraction, 0.0);
        EXPECT_LT(faults[index].step_fraction, 1.0);
        if (index == 0) continue;
        EXPECT_GE(faults[index].step_fraction, faults[index - 1].step_fraction);
        EXPECT_EQ(faults[index].after, 3 + index) << "place in the plan, counted from 1, of the kill before";
    }
}

TEST(ChaosFaults, HoldAsManyOfEachKindAsWereAskedFor) {
    const std::vector<PlannedFault> faults =
        chaos_faults({.seed = 3, .kills = 2, .joins = 4, .retires = 3, .moves = 20}, 0);
    std::map<FaultKind, int> counts;
    for (const PlannedFault& fault : faults) {
        ++counts[fault.kind];
        EXPECT_EQ(fault.target, fault.kind == FaultKind::join ? fault_target_anybody : fault_target_picked);
        EXPECT_EQ(fault.count, fault.kind == FaultKind::join ? 1U : 0U);
    }
    EXPECT_EQ(counts, (std::map<FaultKind, int>{
                          {FaultKind::kill, 2}, {FaultKind::join, 4}, {FaultKind::retire, 3}, {FaultKind::move, 20}}));
}

TEST(ParseDuration, ReadsSecondsAndMilliseconds) {
    EXPECT_EQ(parse_duration("250ms").value_or(0), 250'000'000U);
    EXPECT_EQ(parse_duration("3s").value_or(0), 3'000'000'000U);
    EXPECT_EQ(parse_duration("1.5s").value_or(0), 1'500'000'000U);
    EXPECT_EQ(parse_duration("0.000000001s").value_or(0), 1U);
}

TEST(ParseDuration, RefusesWhatIsNotOne) {
    for (const char* text : {"", "s", "3", "3min", "-1s", "1.s", "1s2", "99999999999999s"})
        EXPECT_FALSE(parse_duration(text)) << text;
}

}  // namespace
}  // namespace phoenix
