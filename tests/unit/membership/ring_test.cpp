#include "membership/ring.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <random>

namespace phoenix {
namespace {

constexpr std::uint32_t ring_vnode_count = 20'000;

std::vector<RingMember> members_on_ring(std::uint32_t count, std::uint64_t first_seniority) {
    std::vector<RingMember> members;
    for (std::uint32_t i = 0; i < count; ++i) members.push_back({MemberSlot{i}, first_seniority + i});
    return members;
}

std::vector<MemberSlot> owners_by(const Ring& ring) {
    std::vector<MemberSlot> owners;
    for (std::uint32_t v = 0; v < ring_vnode_count; ++v) owners.push_back(ring.owner_of(VNodeId{v}));
    return owners;
}

TEST(Ring, OnlyWhatGoesToOneWhoComesMoves) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const std::uint32_t count = 1 + static_cast<std::uint32_t>(seed % 9);
        std::vector<RingMember> members = members_on_ring(count + 1, seed * 100);
        const RingMember newcomer = members.back();
        const std::vector<MemberSlot> with = owners_by(Ring{64, members});
        members.pop_back();
        const std::vector<MemberSlot> without = owners_by(Ring{64, members});
        std::uint32_t moved = 0;
        for (std::uint32_t v = 0; v < ring_vnode_count; ++v) {
            if (with[v] == without[v]) continue;
            EXPECT_EQ(with[v], newcomer.slot) << "VNode " << v << " moved between others, seed " << seed;
            ++moved;
        }
        // Its share, give or take what 64 tokens leave to chance.
        EXPECT_NEAR(static_cast<double>(moved) / ring_vnode_count, 1.0 / (count + 1), 0.6 / (count + 1))
            << "seed " << seed;
    }
}

TEST(Ring, OfOneWhoGoesEverybodyGetsAPartAndNothingElseMoves) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        std::vector<RingMember> members = members_on_ring(6, seed * 1000);
        const std::vector<MemberSlot> before = owners_by(Ring{128, members});
        const MemberSlot dead = members[seed % 6].slot;
        members.erase(members.begin() + static_cast<std::ptrdiff_t>(seed % 6));
        const std::vector<MemberSlot> after = owners_by(Ring{128, members});
        std::map<std::uint32_t, std::uint32_t> heirs;
        for (std::uint32_t v = 0; v < ring_vnode_count; ++v) {
            if (before[v] == dead) {
                ++heirs[after[v].value];
            } else {
                EXPECT_EQ(after[v], before[v]) << "VNode " << v << ", seed " << seed;
            }
        }
        EXPECT_EQ(heirs.size(), 5U) << "seed " << seed;
    }
}

TEST(Ring, TheOrderOfMembersDoesNotMatter) {
    std::mt19937_64 random{5};
    std::vector<RingMember> members = members_on_ring(7, 3);
    const std::vector<MemberSlot> wanted = owners_by(Ring{16, members});
    for (int round = 0; round < 10; ++round) {
        std::shuffle(members.begin(), members.end(), random);
        EXPECT_EQ(owners_by(Ring{16, members}), wanted);
    }
}

// What belongs to whom must not change between builds and machines: members of one job may be of several.
TEST(Ring, SaysTheSameOnEveryMachine) {
    std::uint64_t digest = 0;
    for (const MemberSlot owner : owners_by(Ring{8, members_on_ring(5, 7)})) digest = digest * 31 + owner.value;
    EXPECT_EQ(digest, 18192625687402258142U);
}

TEST(Ring, WithManyTokensTheSharesAreNearlyEqual) {
    double worst = 0;
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        const std::uint32_t count = 2 + static_cast<std::uint32_t>(seed % 15);
        std::map<std::uint32_t, std::uint32_t> loads;
        for (const MemberSlot owner : owners_by(Ring{128, members_on_ring(count, seed * 77)})) ++loads[owner.value];
        EXPECT_EQ(loads.size(), count);
        const auto most = std::max_element(
            loads.begin(), loads.end(), [](const auto& less, const auto& more) { return less.second < more.second; });
        worst = std::max(worst, static_cast<double>(most->second) * count / ring_vnode_count);
    }
    RecordProperty("largest_share_over_mean_percent", static_cast<int>(worst * 100));
    EXPECT_LT(worst, 1.4);
}

TEST(Ring, OneTokenSuffices) {
    const Ring ring{1, members_on_ring(1, 9)};
    for (std::uint32_t v = 0; v < 1000; ++v) EXPECT_EQ(ring.owner_of(VNodeId{v}), MemberSlot{0});
}

}  // namespace
}  // namespace phoenix
