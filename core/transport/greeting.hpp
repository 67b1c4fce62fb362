#pragma once
/// A connection that is not authenticated yet: its socket, its handshake, its deadline.

#include "transport/event_loop.hpp"
#include "transport/handshake.hpp"
#include "transport/socket.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace phoenix {

class Greeting;

/// Decides about greetings. After finished() and failed() nothing but drained() is called for that greeting, and that
/// only if it is draining().
class GreetingOwner {
  public:
    virtual ~GreetingOwner() = default;
    /// Who called has said who it is: what we say of ourselves, or why not.
    [[nodiscard]] virtual tl::expected<Introduction, RefusalReason> introduce(Greeting& greeting) = 0;
    /// Who called is authentic: a reason if it is not wanted all the same.
    [[nodiscard]] virtual std::optional<RefusalReason> admit(Greeting& greeting) = 0;
    /// Both sides are authentic: take the socket.
    virtual void finished(Greeting& greeting) = 0;
    /// It came to nothing: refused by us or by the other side, or an error number.
    virtual void failed(Greeting& greeting, std::optional<Refusal> refusal, int error) = 0;
    /// A caller that was refused has hung up, or its time is over.
    virtual void drained(Greeting& greeting) = 0;
};

class Greeting final : public EventSource {
  public:
    /// A caller.
    Greeting(EventLoop& loop, GreetingOwner& owner, FileDescriptor socket, const SocketAddress& from,
             Handshake handshake, std::uint64_t deadline_ns);
    /// Our own call; `handshake` has its hello ready.
    struct Call {
        SocketAddress source;
        SocketAddress address;
        std::uint64_t deadline_ns;
    };
    Greeting(EventLoop& loop, GreetingOwner& owner, const Call& call, Handshake handshake, int& error);
    ~Greeting() override { close(); }

    void on_ready(std::uint32_t events) override;
    /// The deadline has passed.
    void expire();
    /// Refused without waiting until it has read that: there are too many.
    void drop_crowded();
    void close() noexcept;
    /// The socket, still watched by the loop; for whoever watches it next.
    [[nodiscard]] FileDescriptor take_socket() noexcept { return std::move(socket_); }

    [[nodiscard]] bool outgoing() const noexcept { return outgoing_; }
    [[nodiscard]] bool open() const noexcept { return socket_.valid(); }
    /// The other side has got our first message, or may have.
    [[nodiscard]] bool talking() const noexcept { return stage_ == Stage::talking; }
    [[nodiscard]] bool draining() const noexcept { return stage_ == Stage::draining; }
    [[nodiscard]] std::uint64_t deadline_ns() const noexcept { return deadline_ns_; }
    [[nodiscard]] const SocketAddress& address() const noexcept { return address_; }
    [[nodiscard]] const Introduction& peer() const noexcept { return handshake_.peer(); }
    [[nodiscard]] const Introduction& own() const noexcept { return handshake_.own(); }

  private:
    enum class Stage : std::uint8_t { connecting, talking, draining };
    void read_message();
    void read_rest();
    void act(Handshake::Progress progress);
    void refuse(RefusalReason reason);
    void turn_away();
    [[nodiscard]] bool send_output();
    [[nodiscard]] Refusal refusal_of(RefusalReason reason, bool by_peer) const;

    EventLoop& loop_;
    GreetingOwner& owner_;
    FileDescriptor socket_;
    SocketAddress address_;
    Handshake handshake_;
    std::uint64_t deadline_ns_;
    bool outgoing_;
    Stage stage_;
    std::size_t drained_{0};
};

}  // namespace phoenix
