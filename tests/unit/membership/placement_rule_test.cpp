#include "membership/placement_rule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdexcept>

namespace phoenix {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string parsed(std::string_view text) {
    const auto rule = parse_placement(text);
    return rule ? text_of(*rule) : rule.error().sentence;
}

TEST(PlacementRule, IsReadAsItIsWritten) {
    for (const char* text : {"block", "ring:1", "ring:128", "ring:4096", "topology"}) EXPECT_EQ(parsed(text), text);
    EXPECT_EQ(parsed("ring"), "ring:128");
    EXPECT_EQ(text_of({PlacementKind::custom}), "custom");
}

TEST(PlacementRule, WhatIsWrongIsSaidWithItsRemedy) {
    EXPECT_EQ(parsed("blok"), "blok: no placement has this name; write block, ring, ring:64 or topology.");
    EXPECT_THAT(parsed(""), HasSubstr("no placement has this name"));
    EXPECT_EQ(parsed("block:4"), "block:4: only a ring has tokens; write block or ring:4.");
    EXPECT_THAT(parsed("topology:"), HasSubstr("only a ring has tokens"));
    for (const char* text : {"ring:0", "ring:4097", "ring:", "ring:-1", "ring:1x", "ring:99999999999", "ring: 4"}) {
        EXPECT_EQ(parsed(text),
                  std::string{text} + ": a ring has 1 to 4096 tokens per member; write for example ring:128.");
    }
    EXPECT_THAT(parsed("custom"), HasSubstr("DomainOptions::placement"));
}

TEST(PlacementRule, ComesThroughItsWord) {
    for (const PlacementRule rule : {PlacementRule{}, PlacementRule{PlacementKind::ring, ring_tokens_max},
                                     PlacementRule{PlacementKind::topology}, PlacementRule{PlacementKind::custom}}) {
        const PlacementRule read = PlacementRule::of_word(rule.word());
        EXPECT_EQ(read.kind, rule.kind);
        EXPECT_EQ(read.ring_tokens, rule.ring_tokens);
    }
    EXPECT_EQ(PlacementRule{}.word(), 0U) << "memory that says nothing says block";
}

TEST(PlacementRule, APlacementThatCannotBeIsRefused) {
    const auto function = [](std::uint32_t vnodes, std::span<const PlacementMember>) {
        return std::vector<std::uint32_t>(vnodes, 0);
    };
    EXPECT_THAT(fault_of(Placement::block()), IsEmpty());
    EXPECT_THAT(fault_of(Placement::ring()), IsEmpty());
    EXPECT_THAT(fault_of(Placement::topology()), IsEmpty());
    EXPECT_THAT(fault_of(Placement::custom(function)), IsEmpty());
    EXPECT_THAT(fault_of(Placement::ring(0)), HasSubstr("has 0 tokens"));
    EXPECT_THAT(fault_of(Placement::ring(ring_tokens_max + 1)), HasSubstr("1 to 4096"));
    EXPECT_THAT(fault_of({PlacementKind::block, 4, {}}), HasSubstr("only a ring has"));
    EXPECT_THAT(fault_of(Placement::custom({})), HasSubstr("no function"));
    EXPECT_THAT(fault_of({PlacementKind::ring, 4, function}), HasSubstr("only a custom one"));
    EXPECT_THAT(fault_of({static_cast<PlacementKind>(9), 0, {}}), HasSubstr("no kind that exists"));
}

/// A custom rule, orphans, and members of whom the first can go on with them at once.
struct Custom {
    PlacementFunction function;
    std::vector<VNodeId> orphans{VNodeId{1}, VNodeId{2}, VNodeId{3}};
    std::vector<Adopter> everybody{{MemberSlot{5}, 0, 2, 0}, {MemberSlot{7}, 0, 8, 4}, {MemberSlot{9}, 0, 9, 0}};

    explicit Custom(PlacementFunction f) : function(std::move(f)) {}
    [[nodiscard]] tl::expected<std::vector<MemberSlot>, PlacementFault> place_among(std::size_t adopters) const {
        const PlacementRule rule{PlacementKind::custom, 0, &function};
        return place(rule, {4, orphans, {}, std::span{everybody}.first(adopters), everybody, orphans.size()});
    }
    [[nodiscard]] std::string fault() const {
        const auto placed = place_among(3);
        return placed ? "" : placed.error().what;
    }
};

TEST(PlacementRule, TheApplicationSeesTheMembersAndItsWordCounts) {
    std::vector<PlacementMember> seen;
    const Custom custom{[&seen](std::uint32_t vnodes, std::span<const PlacementMember> members) {
        seen.assign(members.begin(), members.end());
        std::vector<std::uint32_t> positions(vnodes);
        for (std::uint32_t v = 0; v < vnodes; ++v) positions[v] = v % static_cast<std::uint32_t>(members.size());
        return positions;
    }};
    EXPECT_THAT(*custom.place_among(3), ElementsAre(MemberSlot{7}, MemberSlot{9}, MemberSlot{5}));
    ASSERT_EQ(seen.size(), 3U);
    EXPECT_EQ(seen[0].slot, 5U);
    EXPECT_EQ(seen[1].seniority, 8U);
    EXPECT_FALSE(seen[0].numa_node.has_value());
    EXPECT_EQ(seen[1].numa_node, 3U);
    // What belongs to one who cannot go on goes on with another; the rest is where it belongs.
    EXPECT_THAT(*custom.place_among(2), ElementsAre(MemberSlot{7}, MemberSlot{5}, MemberSlot{5}));
}

TEST(PlacementRule, AResultThatCannotBeUsedIsRefused) {
    const auto positions = [](std::vector<std::uint32_t> list) {
        return Custom{[list](std::uint32_t, std::span<const PlacementMember>) { return list; }}.fault();
    };
    EXPECT_EQ(positions({0, 1, 1, 0}), "");
    EXPECT_EQ(positions({0, 1, 0}), "places 3 VNodes of 4; return one position for each VNode");
    EXPECT_EQ(positions({0, 1, 3, 0}), "places VNode 2 on position 3 of 3 members; return positions from 0 to 2");
    const Custom throws{[](std::uint32_t, std::span<const PlacementMember>) -> std::vector<std::uint32_t> {
        throw std::runtime_error{"no map"};
    }};
    EXPECT_THAT(throws.fault(), HasSubstr("threw 'no map'"));
    const Custom odd{[](std::uint32_t, std::span<const PlacementMember>) -> std::vector<std::uint32_t> { throw 3; }};
    EXPECT_THAT(odd.fault(), HasSubstr("no std::exception"));
}

TEST(PlacementRule, MovesWaitForARuleThatIsNotKnown) {
    const std::vector<BalanceMember> members{{MemberSlot{0}}, {MemberSlot{1}}};
    const auto plan = plan_moves({PlacementKind::custom}, std::vector<MemberSlot>(4, MemberSlot{0}), members);
    EXPECT_THAT(plan->moves, IsEmpty());
    EXPECT_TRUE(plan->waits);
}

}  // namespace
}  // namespace phoenix
