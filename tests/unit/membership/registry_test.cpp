#include "membership/registry.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

namespace phoenix {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

RegisteredMember member_in(std::uint32_t slot, std::uint32_t incarnation, std::vector<std::string> capabilities,
                           MemberState state = MemberState::active) {
    return RegisteredMember{MemberSlot{slot}, state, Incarnation{incarnation}, 100 + static_cast<pid_t>(incarnation),
                            std::move(capabilities)};
}

TEST(MemberRegistry, FindsMembersBySlotAndByCapability) {
    MemberRegistry registry;
    EXPECT_FALSE(registry.find(MemberSlot{3}));
    EXPECT_TRUE(registry.put(member_in(3, 1, {"gpu", "cores:8"})));
    EXPECT_TRUE(registry.put(member_in(200, 1, {"cores:8"})));
    ASSERT_TRUE(registry.find(MemberSlot{3}));
    EXPECT_EQ(registry.find(MemberSlot{3})->pid, 101);
    EXPECT_THAT(registry.members_with("gpu"), ElementsAre(MemberSlot{3}));
    EXPECT_THAT(registry.members_with("cores:8"), ElementsAre(MemberSlot{3}, MemberSlot{200}));
    EXPECT_THAT(registry.members_with("tpu"), IsEmpty());
    EXPECT_THAT(registry.active_members(), ElementsAre(MemberSlot{3}, MemberSlot{200}));
}

TEST(MemberRegistry, OnlyActiveMembersAreOffered) {
    MemberRegistry registry;
    registry.put(member_in(3, 1, {"gpu"}, MemberState::joining));
    EXPECT_THAT(registry.members_with("gpu"), IsEmpty());
    EXPECT_TRUE(registry.set_state(MemberSlot{3}, Incarnation{1}, MemberState::active));
    EXPECT_THAT(registry.members_with("gpu"), ElementsAre(MemberSlot{3}));
    EXPECT_TRUE(registry.set_state(MemberSlot{3}, Incarnation{1}, MemberState::failed));
    EXPECT_THAT(registry.members_with("gpu"), IsEmpty());
    EXPECT_THAT(registry.active_members(), IsEmpty());
    EXPECT_FALSE(registry.set_state(MemberSlot{3}, Incarnation{2}, MemberState::active));
    EXPECT_FALSE(registry.set_state(MemberSlot{4}, Incarnation{1}, MemberState::active));
}

TEST(MemberRegistry, AHigherIncarnationReplacesAndALowerIsRefused) {
    MemberRegistry registry;
    registry.put(member_in(3, 2, {"gpu"}));
    EXPECT_FALSE(registry.put(member_in(3, 1, {"cores:8"})));
    EXPECT_EQ(registry.find(MemberSlot{3})->incarnation, Incarnation{2});
    EXPECT_TRUE(registry.put(member_in(3, 3, {"cores:8"})));
    EXPECT_THAT(registry.members_with("gpu"), IsEmpty()) << "its successor has none";
    EXPECT_THAT(registry.members_with("cores:8"), ElementsAre(MemberSlot{3}));
}

TEST(MemberRegistry, MembersMayComeAndGoForEverButNotWithEverNewCapabilities) {
    MemberRegistry registry;
    for (std::uint32_t incarnation = 1; incarnation <= 5000; ++incarnation) {
        EXPECT_TRUE(registry.put(member_in(3, incarnation, {"gpu"})));
    }
    for (std::uint32_t list = 1; list < MemberRegistry::capability_lists_max; ++list) {
        EXPECT_TRUE(registry.put(member_in(4, list, {"cores:" + std::to_string(list)})));
    }
    EXPECT_FALSE(registry.put(member_in(4, 1000, {"cores:1000"})));
    EXPECT_EQ(registry.find(MemberSlot{4})->incarnation.value, MemberRegistry::capability_lists_max - 1);
    EXPECT_EQ(registry.find(MemberSlot{3})->incarnation, Incarnation{5000});
    EXPECT_EQ(registry.find(MemberSlot{3})->capabilities, std::vector<std::string>{"gpu"});
}

TEST(MemberRegistry, ReadersSeeAMemberWholeOrNotAtAllWhileOthersComeAndGo) {
    MemberRegistry registry;
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> torn{0};
    std::atomic<std::uint64_t> seen{0};
    std::vector<std::thread> readers;
    for (int reader = 0; reader < 2; ++reader) {
        readers.emplace_back([&] {
            do {
                for (std::uint32_t slot = 0; slot < 8; ++slot) {
                    const std::optional<RegisteredMember> member = registry.find(MemberSlot{slot});
                    if (member) {
                        // Everything in a record is derived from slot and incarnation.
                        const std::string mark = "i" + std::to_string(member->incarnation.value % 100);
                        const bool whole = member->slot.value == slot &&
                                           member->pid == 100 + static_cast<pid_t>(member->incarnation.value) &&
                                           member->has(mark) && member->has("worker");
                        torn += whole ? 0 : 1;
                        ++seen;
                    }
                }
                for (const MemberSlot slot : registry.members_with("worker")) {
                    torn += registry.find(slot)->has("worker") ? 0 : 1;
                }
            } while (!over.load());
        });
    }
    for (std::uint32_t incarnation = 1; incarnation <= 300; ++incarnation) {
        for (std::uint32_t slot = 0; slot < 8; ++slot) {
            registry.put(member_in(slot, incarnation, {"worker", "i" + std::to_string(incarnation % 100)}));
            registry.set_state(MemberSlot{slot}, Incarnation{incarnation}, MemberState::failed);
        }
    }
    over = true;
    for (std::thread& reader : readers) {
        reader.join();
    }
    EXPECT_EQ(torn.load(), 0U);
    EXPECT_GT(seen.load(), 0U);
}

TEST(DomainRegistry, TheFirstOfANameStays) {
    DomainRegistry registry;
    EXPECT_EQ(registry.find("plate"), nullptr);
    const RegisteredDomain plate{"plate", 64};
    const RegisteredDomain& stored = registry.add(plate);
    EXPECT_EQ(stored, plate);
    EXPECT_EQ(registry.add(RegisteredDomain{"plate", 65}), plate);
    EXPECT_EQ(registry.find("plate"), &stored);
}

TEST(DomainRegistry, ThreadsThatAddTheSameNameGetTheSameDomain) {
    DomainRegistry registry;
    std::array<const RegisteredDomain*, 4> got{};
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            for (int name = 0; name < 50; ++name) {
                got[i] = &registry.add(RegisteredDomain{"d" + std::to_string(name), i});
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(std::count(got.begin(), got.end(), got[0]), 4);
}

}  // namespace
}  // namespace phoenix
