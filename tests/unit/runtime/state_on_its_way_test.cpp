/// States that travel over real links, through a proxy that damages them.

#include "base/clock.hpp"
#include "transport/hub.hpp"
#include "unit/runtime/damaging_proxy.hpp"
#include "unit/runtime/port_node.hpp"

#include <algorithm>
#include <functional>
#include <gtest/gtest.h>
#include <stdexcept>

namespace phoenix {
namespace {

/// Longer than anything takes on a loaded machine.
constexpr std::uint64_t patience_ns = 20'000'000'000;

using testing_tools::commit_sample;
using testing_tools::DamagingProxy;
using testing_tools::PortNodeFixture;

/// What PortProcess does with the frames of a state, for one domain.
struct StateNode final : TransportEvents {
    explicit StateNode(std::uint32_t id) : node(id, 2, 2) {
        HubOptions options;
        options.node = NodeId{id};
        options.job_id = "unit-states";
        hub = std::move(*Hub::create(options, *this));
        node.links.ended(NodeId{1 - id});
        node.links.use(*hub);
    }
    void connected(NodeId peer, SessionId) override {
        node.links.connected(peer);
        node.links.set_ready(peer, 0);
    }
    Landing place(NodeId from, const Incoming& incoming) override {
        StateHead head{};
        if (static_cast<FrameType>(incoming.type) != FrameType::state) return Landing::transient();
        EXPECT_TRUE(read_head(incoming.head, head));
        return node.port->place_state(from, head, incoming.size);
    }
    void frame(NodeId from, const Incoming& incoming, std::span<const std::byte> payload) override {
        StateHead state{};
        LocationFrameHead location{};
        switch (static_cast<FrameType>(incoming.type)) {
            case FrameType::state_meta:
                if (read_head(incoming.head, state)) node.port->take_state_meta(from, state, payload);
                return;
            case FrameType::state:
                if (read_head(incoming.head, state)) node.port->take_state(from, state);
                return;
            case FrameType::stored:
                if (read_head(incoming.head, location)) node.port->take_stored(from, location);
                return;
            default: return;
        }
    }
    void withdrawn(NodeId, std::byte* address) override { withdrawals += node.port->withdraw_state(address) ? 1 : 0; }
    void acknowledged(NodeId, std::uint64_t cookie) override { node.links.acknowledged(cookie); }
    void link_lost(NodeId peer, LinkEnd reason, std::string_view) override {
        damages += reason == LinkEnd::damaged ? 1 : 0;
        node.links.ended(peer);
        node.port->link_ended(peer);
    }
    void peer_restarted(NodeId peer) override { link_lost(peer, LinkEnd::closed, {}); }
    void refused(const Refusal&) override {}

    PortNodeFixture node;
    std::unique_ptr<Hub> hub;
    int withdrawals{0};
    int damages{0};
};

std::size_t state_extents(const PortNodeFixture& node) {
    std::size_t count = 0;
    node.pool->for_each(
        [&](ExtentId, std::uint64_t, const ExtentOwner& owner) { count += owner.kind == ExtentKind::state ? 1 : 0; });
    return count;
}

TEST(StateOnItsWay, WhatArrivesDamagedIsNotExecutedAndComesAgain) {
    constexpr std::uint64_t particles = 1 << 20;
    StateNode one{0};
    StateNode two{1};
    DamagingProxy proxy{two.hub->address()};
    // VNode 0 of node 0, with eight MiB of particles.
    commit_sample(one.node, 0);
    VNodeRecord& record = one.node.context.vnode_record(*one.node.domain, 0);
    FieldCommit& field = fields_of(slot_of(record, *one.node.domain, record.select.load()))[1];
    one.node.pool->free(static_cast<ExtentId>(field.at));
    field = {*one.node.pool->allocate(particles * 8, ExtentKind::state, 0, 0), particles};
    for (std::uint64_t i = 0; i < particles; ++i)
        std::memcpy(one.node.pool->data(static_cast<ExtentId>(field.at)) + i * 8, &i, sizeof i);
    one.node.wish(0, 1);
    one.node.give_to_port(0);
    const auto run = [&](const std::function<bool()>& done) {
        const std::uint64_t end = boot_time_ns() + patience_ns;
        while (!done()) {
            if (boot_time_ns() > end) throw std::runtime_error{"what was waited for did not come"};
            for (StateNode* const side : {&one, &two}) {
                side->node.work();
                (void)side->hub->poll(1);
            }
        }
    };
    const auto connect = [&] {
        ASSERT_TRUE(one.hub->connect(NodeId{1}, proxy.address()));
        run([&] { return one.node.links.up(NodeId{1}) && two.node.links.up(NodeId{0}); });
    };
    for (int time = 1; time <= 3; ++time) {
        SCOPED_TRACE(time);
        proxy.damage_once();
        connect();
        run([&] { return one.damages == time && two.damages == time; });
        EXPECT_TRUE(proxy.has_damaged());
        EXPECT_EQ(two.hub->damaged_pieces(), static_cast<std::uint64_t>(time));
        EXPECT_LE(two.withdrawals, time);  // one that was ahead of its meta had no place yet
        EXPECT_EQ(state_extents(two.node), 0U);
        EXPECT_EQ(two.node.context.vnode_record(*two.node.domain, 0).select.load(), 0U);
        EXPECT_EQ(two.node.port->location(0).state(), LocationState::away);
        EXPECT_EQ(one.node.port->location(0).state(), LocationState::leaving);
    }
    connect();
    run([&] { return one.node.port->location(0).state() == LocationState::away; });
    EXPECT_TRUE(two.node.port->location(0).here());
    EXPECT_EQ(state_extents(one.node), 0U) << "freed, since it is stored";
    VNodeRecord& there = two.node.context.vnode_record(*two.node.domain, 0);
    const FieldCommit arrived = fields_of(slot_of(there, *two.node.domain, there.select.load()))[1];
    ASSERT_EQ(arrived.count, particles);
    const std::byte* const bytes = two.node.pool->data(static_cast<ExtentId>(arrived.at));
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < particles; ++i) wrong += std::memcmp(bytes + i * 8, &i, sizeof i) != 0 ? 1 : 0;
    EXPECT_EQ(wrong, 0U);
}

}  // namespace
}  // namespace phoenix
