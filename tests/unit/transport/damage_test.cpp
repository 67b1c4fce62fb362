/// What is damaged on its way: found, counted, never delivered, and sent again by whoever is told.

#include "transport/piece_digest.hpp"
#include "unit/transport/cutting_proxy.hpp"
#include "unit/transport/hubs.hpp"

#include <algorithm>
#include <array>

namespace phoenix {
namespace {

using namespace testing_tools;

struct TransportDamage : Pair {
    static constexpr std::size_t size = 4 << 20;
    std::vector<std::byte> payload = pattern(7, size);
    std::vector<std::byte> place = std::vector<std::byte>(size);
    std::unique_ptr<CuttingProxy> proxy;

    void SetUp() override {
        one_ = std::make_unique<Node>(1);
        two_ = std::make_unique<Node>(2);
        proxy = std::make_unique<CuttingProxy>(two_->hub->address(), CuttingProxy::Options{});
        two_->events.on_place = [this](NodeId, const Incoming&) {
            const std::span all{place};
            return Landing::scattered(std::array{all.first(1000), all.subspan(1000)});
        };
        join(1);
    }
    void join(std::size_t time) {
        one_->connect_at(two_->id(), proxy->address());
        ASSERT_TRUE(run([&] { return one_->events.connects.size() == time && two_->events.connects.size() == time; }));
    }
    void send(bool checked) {
        const std::span<const std::byte> piece{payload};
        ASSERT_TRUE(one_->hub->send(two_->id(), {.lane = Lane::bulk, .pieces = {&piece, 1}, .checked = checked}));
    }
};

TEST_F(TransportDamage, APieceThatArrivesDamagedIsCountedAndItsFrameNotDelivered) {
    for (std::size_t time = 1; time <= 3; ++time) {
        SCOPED_TRACE(time);
        proxy->damage_once();
        send(true);
        ASSERT_TRUE(run([&] { return one_->events.losses.size() == time && two_->events.losses.size() == time; }));
        ASSERT_TRUE(proxy->has_damaged());
        EXPECT_EQ(two_->hub->damaged_pieces(), time);
        EXPECT_EQ(one_->hub->damaged_pieces(), 0U);
        for (const Node* const node : {one_.get(), two_.get()})
            EXPECT_EQ(node->events.losses.back().second, LinkEnd::damaged);
        EXPECT_TRUE(two_->events.frames.empty());
        EXPECT_EQ(two_->events.withdrawals, std::vector<std::byte*>(time, place.data()));
        join(time + 1);
    }
    // Whoever was told sends it again.
    send(true);
    ASSERT_TRUE(run([&] { return two_->events.frames.size() == 1; }));
    EXPECT_TRUE(place == payload);
    EXPECT_EQ(two_->hub->damaged_pieces(), 3U);
}

// What the digest costs is for those who ask for it.
TEST_F(TransportDamage, AFrameThatIsNotCheckedArrivesAsItIs) {
    proxy->damage_once();
    send(false);
    ASSERT_TRUE(run([&] { return two_->events.frames.size() == 1; }));
    EXPECT_TRUE(proxy->has_damaged());
    EXPECT_FALSE(place == payload);
    EXPECT_EQ(two_->hub->damaged_pieces(), 0U);
}

TEST(PieceDigest, DependsOnEveryByteOfHeaderAndPayloadAndNotOnHowThePayloadLies) {
    std::vector<std::byte> payload = pattern(3, 1500);
    PieceHeader header{};
    header.kind = WireKind::checked_piece;
    header.length = 1500;
    const auto digest = [&](std::size_t split) {
        const std::array parts{iovec{payload.data(), split}, iovec{payload.data() + split, payload.size() - split}};
        return piece_digest(header, parts);
    };
    const std::uint64_t right = digest(0);
    for (std::size_t split = 0; split <= payload.size(); ++split) ASSERT_EQ(digest(split), right);
    for (std::byte& byte : payload) {
        byte ^= std::byte{1};
        ASSERT_NE(digest(0), right);
        byte ^= std::byte{1};
    }
    for (std::size_t at = 0; at < sizeof header; ++at) {
        const bool own = at >= offsetof(PieceHeader, digest) && at < offsetof(PieceHeader, head);
        reinterpret_cast<std::byte*>(&header)[at] ^= std::byte{1};
        ASSERT_EQ(digest(0) == right, own) << at;
        reinterpret_cast<std::byte*>(&header)[at] ^= std::byte{1};
    }
}

}  // namespace
}  // namespace phoenix
