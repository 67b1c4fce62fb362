#include "base/ids.hpp"

#include <gtest/gtest.h>
#include <limits>
#include <type_traits>
#include <unordered_set>

namespace phoenix {
namespace {

// What the types are for: one cannot be handed over where another is meant.
static_assert(!std::is_convertible_v<VNodeId, MemberSlot>);
static_assert(!std::is_convertible_v<std::uint32_t, VNodeId>);
static_assert(!std::is_convertible_v<VNodeId, std::uint32_t>);
// They lie in shared memory.
static_assert(std::is_trivially_copyable_v<VNodeId> && sizeof(VNodeId) == 4 && sizeof(ViewNumber) == 8);

TEST(Ids, CompareByValue) {
    EXPECT_EQ(VNodeId{7}, VNodeId{7});
    EXPECT_NE(VNodeId{7}, VNodeId{8});
    EXPECT_LT(ViewNumber{7}, ViewNumber{8});
    EXPECT_GT(ViewNumber{std::numeric_limits<std::uint64_t>::max()}, ViewNumber{0});
}

TEST(Ids, StartAtZero) { EXPECT_EQ(Generation{}, Generation{0}); }

TEST(Ids, AreKeysOfHashTables) {
    std::unordered_set<VNodeId> seen;
    for (std::uint32_t index = 0; index < 1000; ++index) seen.insert(VNodeId{index % 100});
    EXPECT_EQ(seen.size(), 100U);
}

}  // namespace
}  // namespace phoenix
