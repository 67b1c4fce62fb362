#pragma once
/// All links of a hub and who calls at its door.

#include "transport/greeting.hpp"
#include "transport/link.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <unordered_map>
#include <vector>

namespace phoenix {

/// Accepts callers, leads handshakes to links, runs the round of events, timers and writes.
class HubState final : public LinkHost, public GreetingOwner, public EventSource {
  public:
    HubState(const HubOptions& options, TransportEvents& events, EventLoop loop, FileDescriptor listener,
             SessionId session);
    ~HubState() override;

    [[nodiscard]] tl::expected<void, Failure> connect(NodeId peer, std::string_view address);
    void disconnect(NodeId peer);
    [[nodiscard]] tl::expected<void, Failure> send(NodeId peer, const Outgoing& outgoing);
    [[nodiscard]] const Link* find(NodeId peer) const noexcept;
    [[nodiscard]] std::vector<NodeId> peers() const;
    void resume(NodeId peer);
    void flush_marked();
    std::size_t poll(int timeout_ms);
    [[nodiscard]] std::string address() const { return text_of(own_address_); }
    [[nodiscard]] SessionId session() const noexcept { return session_; }

    // LinkHost
    [[nodiscard]] EventLoop& loop() noexcept override { return loop_; }
    [[nodiscard]] const EventLoop& loop() const noexcept { return loop_; }
    [[nodiscard]] TransportEvents& events() noexcept override { return events_; }
    [[nodiscard]] const HubOptions& options() const noexcept override { return options_; }
    [[nodiscard]] Greeting* call(Link& link, std::uint32_t stream, std::uint64_t deadline_ns, int& error) override;
    void drop(Greeting& greeting) override;
    void mark(Link& link) override;
    void remove(Link& link) override;
    void count_damage() noexcept override { ++damaged_pieces_; }
    [[nodiscard]] std::uint64_t damaged_pieces() const noexcept { return damaged_pieces_; }

    // GreetingOwner
    [[nodiscard]] tl::expected<Introduction, RefusalReason> introduce(Greeting& greeting) override;
    [[nodiscard]] std::optional<RefusalReason> admit(Greeting& greeting) override;
    void finished(Greeting& greeting) override;
    void failed(Greeting& greeting, std::optional<Refusal> refusal, int error) override;
    void drained(Greeting& greeting) override { drop(greeting); }

    /// Of the listener.
    void on_ready(std::uint32_t events) override;

  private:
    [[nodiscard]] Link* link_to(NodeId peer) noexcept;
    [[nodiscard]] Introduction introduction_to(NodeId peer, std::uint64_t life) const noexcept;
    void take_caller(FileDescriptor socket, const SocketAddress& from);
    void make_room_for_caller();
    void run_timers();
    void go_on_resumed();
    void clear_graveyard();

    HubOptions options_;
    TransportEvents& events_;
    EventLoop loop_;
    FileDescriptor listener_;
    SocketAddress own_address_;
    SessionId session_;
    std::uint64_t lives_{0};
    std::uint64_t damaged_pieces_{0};
    std::uint64_t listen_again_ns_{never};  ///< The process was out of descriptors.
    std::unordered_map<NodeId, std::unique_ptr<Link>> links_;
    std::vector<std::unique_ptr<Greeting>> greetings_;  ///< Oldest first.
    std::vector<Link*> marked_;
    std::vector<NodeId> resumed_;
    std::vector<std::unique_ptr<Link>> removed_;
};

}  // namespace phoenix
