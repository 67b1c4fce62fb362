#pragma once
/// Mutual authentication of a connection by the job's secret, which itself never travels.
///
///     hello      ->   who, of which job, with which session, for what; a nonce
///               <-    challenge: the same of the other side
///     proof      ->   HMAC-SHA256(secret, "initiator", hello, challenge)
///               <-    welcome: HMAC-SHA256(secret, "responder", hello, challenge)
///
/// Whoever is called shows nothing made with the secret before the other has proved to have it. Both nonces are new for
/// each connection, so what was recorded of another one proves nothing; the labels differ, so nothing can be reflected.
/// No sockets here: bytes in, bytes out.

#include "transport/hmac.hpp"
#include "transport/hub.hpp"
#include "transport/wire.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace phoenix {

using Nonce = std::array<std::uint8_t, 32>;

/// What a side says of itself and of the connection.
struct Introduction {
    NodeId from{};
    NodeId to{};
    SessionId session{};
    std::uint64_t life{};
    ConnectionKind connection{ConnectionKind::control};
    std::uint8_t stream{};
    std::uint8_t bulk_streams{};
    std::uint16_t port{};
};

/// One side of one handshake.
class Handshake {
  public:
    enum class Progress : std::uint8_t {
        waiting,  ///< For wanted() more bytes.
        hello,    ///< peer() has said who it is, unproven: challenge() or refuse() it.
        proven,   ///< peer() is authentic: welcome() or refuse() it.
        done,     ///< The other side is authentic and has accepted us.
        refused,  ///< By the other side: reason(). Unproven.
        failed    ///< We refuse: reason(); output() tells the other side.
    };

    /// The side that connects.
    [[nodiscard]] static Handshake initiate(std::string_view job_id, const JobSecret& secret, const Introduction& own,
                                            const Nonce& nonce);
    /// The side that is called, as node `self`.
    [[nodiscard]] static Handshake respond(std::string_view job_id, const JobSecret& secret, NodeId self,
                                           const Nonce& nonce);

    /// Bytes that feed() takes next, at most; 0 when it wants none.
    [[nodiscard]] std::size_t wanted() const noexcept;
    Progress feed(std::span<const std::byte> bytes);

    void challenge(const Introduction& own);
    void welcome();
    Progress refuse(RefusalReason reason);

    /// Bytes to send, taken out.
    [[nodiscard]] std::vector<std::byte> take_output() noexcept { return std::exchange(output_, {}); }
    [[nodiscard]] const Introduction& peer() const noexcept { return peer_; }
    [[nodiscard]] const Introduction& own() const noexcept { return own_; }
    [[nodiscard]] bool knows_peer() const noexcept { return knows_peer_; }
    [[nodiscard]] RefusalReason reason() const noexcept { return reason_; }

  private:
    Handshake(std::string_view job_id, const JobSecret& secret, const Nonce& nonce);
    Progress take_prefix();
    Progress take_introduction();
    Progress take_proof();
    void send(const void* message, std::size_t size);
    [[nodiscard]] IntroductionMessage introduction(MessageKind kind) const noexcept;
    [[nodiscard]] Mac mac_of(std::string_view label) const;

    std::string job_id_;
    JobSecret secret_;
    Nonce nonce_;
    bool initiator_{false};
    bool knows_peer_{false};
    MessageKind expected_{MessageKind::hello};
    bool wants_{true};
    Introduction own_;
    Introduction peer_;
    RefusalReason reason_{RefusalReason::malformed};
    std::vector<std::byte> input_;  ///< Of the message that is arriving.
    std::vector<std::byte> output_;
    std::vector<std::byte> hello_;  ///< As it travelled.
    std::vector<std::byte> challenge_;
};

}  // namespace phoenix
