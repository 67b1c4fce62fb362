#include "transport/handshake.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <cstring>

namespace phoenix {

namespace {

constexpr std::string_view initiator_label = "phoenixflight initiator";
constexpr std::string_view responder_label = "phoenixflight responder";

template <typename Message>
Message message_of(std::span<const std::byte> bytes) noexcept {
    Message message;
    std::memcpy(&message, bytes.data(), sizeof message);
    return message;
}

std::size_t length_of(MessageKind kind) noexcept {
    switch (kind) {
        case MessageKind::hello:
        case MessageKind::challenge: return sizeof(IntroductionMessage);
        case MessageKind::proof:
        case MessageKind::welcome: return sizeof(ProofMessage);
        case MessageKind::refusal: return sizeof(MessagePrefix);
    }
    return 0;
}

MessagePrefix prefix_of(MessageKind kind) noexcept {
    return {wire_magic, protocol_version, kind, 0, static_cast<std::uint32_t>(length_of(kind))};
}

}  // namespace

Handshake::Handshake(std::string_view job_id, const JobSecret& secret, const Nonce& nonce)
    : job_id_(job_id), secret_(secret), nonce_(nonce) {
    PHOENIX_CHECK(job_id.size() < sizeof(IntroductionMessage::job));
}

Handshake Handshake::initiate(std::string_view job_id, const JobSecret& secret, const Introduction& own,
                              const Nonce& nonce) {
    Handshake handshake{job_id, secret, nonce};
    handshake.initiator_ = true;
    handshake.own_ = own;
    handshake.expected_ = MessageKind::challenge;
    const IntroductionMessage message = handshake.introduction(MessageKind::hello);
    handshake.send(&message, sizeof message);
    handshake.hello_ = handshake.output_;
    return handshake;
}

Handshake Handshake::respond(std::string_view job_id, const JobSecret& secret, NodeId self, const Nonce& nonce) {
    Handshake handshake{job_id, secret, nonce};
    handshake.own_.from = self;
    return handshake;
}

std::size_t Handshake::wanted() const noexcept {
    if (!wants_) return 0;
    if (input_.size() < sizeof(MessagePrefix)) return sizeof(MessagePrefix) - input_.size();
    return length_of(expected_) - input_.size();
}

Handshake::Progress Handshake::feed(std::span<const std::byte> bytes) {
    PHOENIX_CHECK(bytes.size() <= wanted());
    input_.insert(input_.end(), bytes.begin(), bytes.end());
    if (input_.size() < sizeof(MessagePrefix)) return Progress::waiting;
    if (input_.size() == sizeof(MessagePrefix)) return take_prefix();
    if (input_.size() < length_of(expected_)) return Progress::waiting;
    if (expected_ == MessageKind::hello || expected_ == MessageKind::challenge) return take_introduction();
    return take_proof();
}

Handshake::Progress Handshake::take_prefix() {
    const auto prefix = message_of<MessagePrefix>(input_);
    if (prefix.magic != wire_magic) return refuse(RefusalReason::malformed);
    // Before the version: both sides of two versions have to understand why they do not speak.
    if (expected_ != MessageKind::hello && prefix.kind == MessageKind::refusal) {
        wants_ = false;
        const bool known = prefix.reason >= 1 && prefix.reason <= static_cast<std::uint8_t>(RefusalReason::stale);
        reason_ = known ? static_cast<RefusalReason>(prefix.reason) : RefusalReason::malformed;
        return Progress::refused;
    }
    if (prefix.version != protocol_version) return refuse(RefusalReason::version);
    if (prefix.kind != expected_ || prefix.reason != 0 || prefix.length != length_of(expected_))
        return refuse(RefusalReason::malformed);
    return Progress::waiting;
}

Handshake::Progress Handshake::take_introduction() {
    const auto message = message_of<IntroductionMessage>(input_);
    (initiator_ ? challenge_ : hello_) = std::exchange(input_, {});
    peer_ = {NodeId{message.from}, NodeId{message.to}, SessionId{message.session}, message.life,
             message.connection,   message.stream,     message.bulk_streams,       message.port};
    knows_peer_ = true;
    if (message.job[message.job.size() - 1] != '\0' || job_id_ != message.job.data()) return refuse(RefusalReason::job);
    if (peer_.to != own_.from || peer_.from == own_.from) return refuse(RefusalReason::node);
    const bool control = peer_.connection == ConnectionKind::control;
    if ((!control && peer_.connection != ConnectionKind::data) || (control && peer_.stream != 0) ||
        peer_.stream > bulk_streams_max || peer_.bulk_streams == 0 || peer_.bulk_streams > bulk_streams_max ||
        peer_.session.value == 0)
        return refuse(RefusalReason::malformed);
    if (!initiator_) {
        wants_ = false;
        return Progress::hello;
    }
    if (peer_.from != own_.to) return refuse(RefusalReason::node);
    if (peer_.connection != own_.connection || peer_.stream != own_.stream) return refuse(RefusalReason::malformed);
    ProofMessage proof{prefix_of(MessageKind::proof), mac_of(initiator_label)};
    send(&proof, sizeof proof);
    expected_ = MessageKind::welcome;
    return Progress::waiting;
}

Handshake::Progress Handshake::take_proof() {
    const auto message = message_of<ProofMessage>(input_);
    input_.clear();
    if (!same_mac(message.mac, mac_of(initiator_ ? responder_label : initiator_label)))
        return refuse(RefusalReason::secret);
    wants_ = false;
    return initiator_ ? Progress::done : Progress::proven;
}

void Handshake::challenge(const Introduction& own) {
    own_ = own;
    const IntroductionMessage message = introduction(MessageKind::challenge);
    const auto* const bytes = reinterpret_cast<const std::byte*>(&message);
    challenge_.assign(bytes, bytes + sizeof message);
    send(&message, sizeof message);
    expected_ = MessageKind::proof;
    wants_ = true;
}

void Handshake::welcome() {
    const ProofMessage message{prefix_of(MessageKind::welcome), mac_of(responder_label)};
    send(&message, sizeof message);
}

Handshake::Progress Handshake::refuse(RefusalReason reason) {
    reason_ = reason;
    wants_ = false;
    MessagePrefix message = prefix_of(MessageKind::refusal);
    message.reason = static_cast<std::uint8_t>(reason);
    send(&message, sizeof message);
    return Progress::failed;
}

void Handshake::send(const void* message, std::size_t size) {
    const auto* const bytes = static_cast<const std::byte*>(message);
    output_.insert(output_.end(), bytes, bytes + size);
}

IntroductionMessage Handshake::introduction(MessageKind kind) const noexcept {
    IntroductionMessage message{};
    message.prefix = prefix_of(kind);
    message.from = own_.from.value;
    message.to = own_.to.value;
    message.session = own_.session.value;
    message.life = own_.life;
    message.connection = own_.connection;
    message.stream = own_.stream;
    message.bulk_streams = own_.bulk_streams;
    message.port = own_.port;
    std::copy(job_id_.begin(), job_id_.end(), message.job.begin());
    message.nonce = nonce_;
    return message;
}

Mac Handshake::mac_of(std::string_view label) const {
    const std::array<std::span<const std::byte>, 3> parts{std::as_bytes(std::span{label}), std::span{hello_},
                                                          std::span{challenge_}};
    return hmac_sha256(secret_, parts);
}

}  // namespace phoenix
