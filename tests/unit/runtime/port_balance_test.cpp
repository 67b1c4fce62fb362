#include "runtime/port_balance.hpp"

#include "memory/member_table.hpp"
#include "unit/runtime/port_node.hpp"

#include <gtest/gtest.h>

namespace phoenix {
namespace {

using testing_tools::PortNodeFixture;

/// Node 0 of two with one member and VNodes 0 to 3; 4 to 7 are on node 1.
struct PortBalanceTest : ::testing::Test {
    PortNodeFixture node{0, 2, 8};
    PortBalance balance{PortNode{node.context, *node.pool, *node.mail, node.links}, *node.port};

    PortBalanceTest() {
        admit(MemberState::active);
        MemberRecord& member = node.context.segment().member(PortNodeFixture::member_slot);
        announce(member, Presence::present);
        member.taking.store(1);
    }
    void admit(MemberState state) {
        View view = with_active(with_active(next_of({}), MemberSlot{PortNodeFixture::member_slot}, Incarnation{1}),
                                MemberSlot{PortNodeFixture::port_slot}, Incarnation{1});
        if (state == MemberState::draining) view = with_draining(view, MemberSlot{PortNodeFixture::member_slot});
        const ViewImage image = image_of(view);
        std::memcpy(node.context.segment().view_buffer(0), &image, sizeof image);
        node.context.header().view_current.store(ViewWord::make(view.number, 0).bits);
    }
    void hear(std::uint32_t keepers, std::uint32_t takers, std::uint32_t vnodes) {
        balance.take_census(NodeId{1}, CensusHead{0, keepers, takers, vnodes});
    }
    /// VNodes of this node that are asked to go to node 1.
    [[nodiscard]] std::vector<std::uint32_t> asked() const {
        std::vector<std::uint32_t> vnodes;
        for (std::uint32_t v = 0; v < 8; ++v) {
            const MoveRequest request{node.context.move_request(*node.domain, v).load()};
            if (request.asks_for_node() && request.version() == node.word(v).version()) vnodes.push_back(v);
        }
        return vnodes;
    }
};

TEST_F(PortBalanceTest, TellsAPeerWhatHasChangedAndNothingElse) {
    balance.work();
    balance.work();
    ASSERT_EQ(node.sent(FrameType::census).size(), 1U);
    CensusHead head{};
    ASSERT_TRUE(read_head(node.sent(FrameType::census)[0].head, head));
    EXPECT_EQ(head.keepers, 1U);
    EXPECT_EQ(head.takers, 1U);
    EXPECT_EQ(head.vnodes, 4U);
    balance.forget(NodeId{1});
    balance.work();
    EXPECT_EQ(node.sent(FrameType::census).size(), 2U) << "a new port knows nothing";
}

TEST_F(PortBalanceTest, AsksForTheHighestVNodesOnceAndNotAgain) {
    hear(3, 3, 4);
    balance.work();
    EXPECT_EQ(asked(), (std::vector<std::uint32_t>{2, 3}));
    const std::uint64_t news = node.domain->move_news.load();
    balance.work();
    EXPECT_EQ(asked(), (std::vector<std::uint32_t>{2, 3}));
    EXPECT_EQ(node.domain->move_news.load(), news);
}

TEST_F(PortBalanceTest, WaitsForFiguresThatAddUpAndForMembersThatTake) {
    hear(3, 3, 3);
    balance.work();
    EXPECT_TRUE(asked().empty()) << "one VNode is counted by nobody";
    hear(3, 0, 4);
    balance.work();
    EXPECT_TRUE(asked().empty()) << "nobody takes there";
    hear(3, 1, 4);
    balance.work();
    EXPECT_EQ(asked().size(), 2U);
}

TEST_F(PortBalanceTest, LeavesVNodesWherePeopleHaveMovedThem) {
    hear(1, 1, 4);
    balance.work();
    // One has come from there, by a command.
    node.context.location_word(*node.domain, 4) = LocationWord::make(NodeId{0}, LocationState::here, 1).bits;
    node.context.location_word(*node.domain, 5) = LocationWord::make(NodeId{0}, LocationState::here, 1).bits;
    hear(1, 1, 2);
    balance.work();
    EXPECT_TRUE(asked().empty());
}

TEST_F(PortBalanceTest, ANodeWhoseMembersDrainGivesEverything) {
    hear(1, 1, 4);
    balance.work();
    admit(MemberState::draining);
    balance.work();
    EXPECT_EQ(asked().size(), 4U);
    EXPECT_EQ(balance.keepers_elsewhere(), 1U);
}

TEST_F(PortBalanceTest, KnowsARefugeOnlyWhereMembersStay) {
    EXPECT_EQ(balance.refuge(), std::nullopt);
    hear(0, 0, 4);
    EXPECT_EQ(balance.refuge(), std::nullopt);
    hear(1, 0, 4);
    EXPECT_EQ(balance.refuge(), NodeId{1});
    node.links.ended(NodeId{1});
    EXPECT_EQ(balance.refuge(), std::nullopt) << "not to be reached";
}

TEST_F(PortBalanceTest, HasHeardFromAllOnceEveryNodeThatIsNotOverHasTold) {
    EXPECT_FALSE(balance.heard_from_all());
    node.context.header().nodes_over = 2;
    EXPECT_TRUE(balance.heard_from_all());
    node.context.header().nodes_over = 0;
    hear(0, 0, 4);
    EXPECT_TRUE(balance.heard_from_all());
}

}  // namespace
}  // namespace phoenix
