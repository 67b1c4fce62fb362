#pragma once
/// Hubs of one test process, what they were told, and time that passes only when a test says so.

#include "base/clock.hpp"
#include "transport/hub.hpp"

#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <vector>

#include "unit/memory/test_job.hpp"

namespace phoenix::testing_tools {

/// Longer than anything takes on a loaded machine; a wait that ends by it has failed.
inline constexpr std::uint64_t patience_ns = 40'000'000'000ULL;

struct ManualClock final : HubClock {
    std::uint64_t time_ns{1'000'000'000};
    [[nodiscard]] std::uint64_t now_ns() const noexcept override { return time_ns; }
    void advance_ms(std::uint64_t ms) { time_ns += ms * 1'000'000; }
};

inline JobSecret secret_of(std::uint8_t seed) {
    JobSecret secret;
    for (std::size_t i = 0; i < secret.size(); ++i) secret[i] = static_cast<std::uint8_t>(seed + i * 7);
    return secret;
}

/// A frame as it arrived.
struct Arrived {
    NodeId from;
    std::uint16_t type;
    Lane lane;
    std::vector<std::byte> head;
    std::vector<std::byte> payload;
};

/// Remembers everything; where payloads go is up to the test.
class Recorder : public TransportEvents {
  public:
    void connected(NodeId peer, SessionId session) override { connects.emplace_back(peer, session); }
    Landing place(NodeId from, const Incoming& incoming) override {
        ++places;
        if (on_place) return on_place(from, incoming);
        return Landing::transient();
    }
    void frame(NodeId from, const Incoming& incoming, std::span<const std::byte> payload) override {
        if (on_frame) on_frame(from, incoming, payload);
        if (!keep) return;
        frames.push_back({from,
                          incoming.type,
                          incoming.lane,
                          {incoming.head.begin(), incoming.head.end()},
                          {payload.begin(), payload.end()}});
    }
    void withdrawn(NodeId, std::byte* address) override { withdrawals.push_back(address); }
    void acknowledged(NodeId, std::uint64_t cookie) override {
        acknowledgements.push_back(cookie);
        if (on_acknowledged) on_acknowledged(cookie);
    }
    void link_lost(NodeId peer, LinkEnd reason, std::string_view sentence) override {
        losses.emplace_back(peer, reason);
        sentences.emplace_back(sentence);
    }
    void peer_restarted(NodeId peer) override {
        restarts.push_back(peer);
        if (on_restart) on_restart();
    }
    void refused(const Refusal& refusal) override { refusals.push_back(refusal); }

    [[nodiscard]] bool saw_refusal(RefusalReason reason, bool by_peer) const {
        for (const Refusal& refusal : refusals)
            if (refusal.reason == reason && refusal.by_peer == by_peer) return true;
        return false;
    }

    bool keep{true};
    std::function<Landing(NodeId, const Incoming&)> on_place;
    std::function<void(NodeId, const Incoming&, std::span<const std::byte>)> on_frame;
    std::function<void(std::uint64_t)> on_acknowledged;
    std::function<void()> on_restart;
    std::vector<std::pair<NodeId, SessionId>> connects;
    std::uint64_t places{0};
    std::vector<Arrived> frames;
    std::vector<std::byte*> withdrawals;
    std::vector<std::uint64_t> acknowledgements;
    std::vector<std::pair<NodeId, LinkEnd>> losses;
    std::vector<std::string> sentences;
    std::vector<NodeId> restarts;
    std::vector<Refusal> refusals;
};

/// A hub and what it was told.
struct Node {
    explicit Node(std::uint32_t id, const std::function<void(HubOptions&)>& change = {}) {
        options.node = NodeId{id};
        options.job_id = "unit-transport";
        options.secret = secret_of(1);
        if (change) change(options);
        hub = value_or_throw(Hub::create(options, events));
    }
    [[nodiscard]] NodeId id() const { return options.node; }
    void connect_to(const Node& other) { connect_at(other.id(), other.hub->address()); }
    void connect_at(NodeId peer, const std::string& address) const {
        if (auto done = hub->connect(peer, address); !done) throw std::runtime_error{done.error().sentence};
    }
    [[nodiscard]] LinkStatus status(const Node& other) const { return hub->status(other.id()); }

    HubOptions options;
    Recorder events;
    std::unique_ptr<Hub> hub;
};

/// Polls all until `done`, sleeping in an outer poll(2) on their descriptors; false when patience is at its end.
inline bool run_until(const std::vector<Hub*>& hubs, const std::function<bool()>& done) {
    const std::uint64_t end = boot_time_ns() + patience_ns;
    std::vector<pollfd> descriptors;
    for (Hub* const hub : hubs) descriptors.push_back({hub->descriptor(), POLLIN, 0});
    for (;;) {
        std::size_t handled = 0;
        for (Hub* const hub : hubs) handled += hub->poll(0);
        if (done()) return true;
        if (boot_time_ns() > end) return false;
        if (handled > 0) continue;
        for (Hub* const hub : hubs) hub->flush();
        // Not for ever: what `done` looks at may be a matter of time, or of another process.
        static_cast<void>(::poll(descriptors.data(), descriptors.size(), 5));
    }
}
inline bool run_until(std::initializer_list<Node*> nodes, const std::function<bool()>& done) {
    std::vector<Hub*> hubs;
    for (Node* const node : nodes) hubs.push_back(node->hub.get());
    return run_until(hubs, done);
}

/// Every byte depends on the number and its place.
inline std::vector<std::byte> pattern(std::uint64_t number, std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<std::byte>(number * 31 + i * 7 + (i >> 9) + (i >> 17));
    return bytes;
}

/// Sends a copy of pattern(number, size) with the number as head and cookie.
inline void send_pattern(const Node& from, const Node& to, Lane lane, std::uint64_t number, std::size_t size) {
    const std::vector<std::byte> payload = pattern(number, size);
    const std::span<const std::byte> piece{payload};
    const auto sent = from.hub->send(to.id(), {.type = static_cast<std::uint16_t>(number),
                                               .lane = lane,
                                               .head = std::as_bytes(std::span{&number, 1}),
                                               .pieces = std::span{&piece, 1},
                                               .copy = true,
                                               .cookie = number});
    if (!sent) throw std::runtime_error{sent.error().sentence};
}

inline std::uint64_t number_of(std::span<const std::byte> head) {
    std::uint64_t number = 0;
    if (head.size() == sizeof number) std::memcpy(&number, head.data(), sizeof number);
    return number;
}

inline bool is_pattern(const Arrived& frame, std::uint64_t number, std::size_t size) {
    return number_of(frame.head) == number && frame.type == static_cast<std::uint16_t>(number) &&
           frame.payload == pattern(number, size);
}

/// Two nodes with a link that stands.
class Pair : public testing::Test {
  protected:
    void connect(const std::function<void(HubOptions&)>& change = {}) {
        one_ = std::make_unique<Node>(1, change);
        two_ = std::make_unique<Node>(2, change);
        one_->connect_to(*two_);
        ASSERT_TRUE(run([&] { return one_->events.connects.size() == 1 && two_->events.connects.size() == 1; }));
    }
    bool run(const std::function<bool()>& done) { return run_until({one_.get(), two_.get()}, done); }

    std::unique_ptr<Node> one_;
    std::unique_ptr<Node> two_;
};

}  // namespace phoenix::testing_tools
