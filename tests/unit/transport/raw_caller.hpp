#pragma once
/// A socket that says to a hub what a test wants it to say.

#include "transport/handshake.hpp"
#include "transport/socket.hpp"

#include <cerrno>
#include <vector>

#include "unit/transport/hubs.hpp"

namespace phoenix::testing_tools {

class RawCaller {
  public:
    explicit RawCaller(const Hub& hub) {
        const SocketAddress address = value_or_throw(parse_address(hub.address()));
        int error = 0;
        socket_ = begin_connect(value_or_throw(make_address("127.0.0.1", 0)), address, error);
    }

    /// What the kernel does not take is not sent; the hub has hung up then, or reads nothing.
    void say(std::span<const std::byte> bytes) const {
        iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
        static_cast<void>(send_parts(socket_.get(), std::span{&part, 1}));
    }
    /// Adds what has come to heard(). False once the hub has hung up.
    bool listen() {
        std::array<std::byte, 4096> bytes;
        for (;;) {
            iovec part{bytes.data(), bytes.size()};
            const ssize_t received = receive_parts(socket_.get(), std::span{&part, 1});
            if (received < 0 && errno == EAGAIN) return true;
            if (received <= 0) return false;
            heard_.insert(heard_.end(), bytes.begin(), bytes.begin() + received);
        }
    }
    [[nodiscard]] const std::vector<std::byte>& heard() const { return heard_; }
    /// Reason of the refusal that was heard last, if one was.
    [[nodiscard]] std::optional<RefusalReason> refusal() const {
        if (heard_.size() < sizeof(MessagePrefix)) return std::nullopt;
        MessagePrefix prefix;
        std::memcpy(&prefix, heard_.data() + heard_.size() - sizeof prefix, sizeof prefix);
        if (prefix.magic != wire_magic || prefix.kind != MessageKind::refusal) return std::nullopt;
        return static_cast<RefusalReason>(prefix.reason);
    }
    void hang_up() { socket_ = FileDescriptor{}; }

    /// Leads a handshake as `own` says, to its end; the progress it ended with.
    Handshake::Progress greet(Node& called, const Introduction& own, const std::string& job = "unit-transport",
                              const JobSecret& secret = secret_of(1)) {
        Nonce nonce;
        static_cast<void>(draw_random(std::as_writable_bytes(std::span{nonce})));
        Handshake handshake = Handshake::initiate(job, secret, own, nonce);
        Handshake::Progress progress = Handshake::Progress::waiting;
        const bool ended = run_until({&called}, [&] {
            const std::vector<std::byte> output = handshake.take_output();
            if (!output.empty()) say(output);
            std::array<std::byte, 256> bytes;
            while (progress == Handshake::Progress::waiting && handshake.wanted() > 0) {
                iovec part{bytes.data(), handshake.wanted()};
                const ssize_t received = receive_parts(socket_.get(), std::span{&part, 1});
                if (received <= 0) return received == 0;
                progress = handshake.feed(std::span{bytes.data(), static_cast<std::size_t>(received)});
            }
            return progress != Handshake::Progress::waiting;
        });
        if (!ended) throw std::runtime_error{"the hub does not answer a handshake"};
        peer_ = handshake.peer();
        return progress;
    }
    [[nodiscard]] const Introduction& peer() const { return peer_; }

  private:
    FileDescriptor socket_;
    std::vector<std::byte> heard_;
    Introduction peer_;
};

inline Introduction introduction(std::uint32_t from, std::uint32_t to, ConnectionKind kind = ConnectionKind::control,
                                 std::uint8_t stream = 0) {
    return {NodeId{from}, NodeId{to}, SessionId{from + 1000}, 1, kind, stream, 2, 9};
}
inline std::vector<std::byte> hello_bytes(const Introduction& own, std::uint8_t nonce_byte = 1) {
    Nonce nonce;
    nonce.fill(nonce_byte);
    return Handshake::initiate("unit-transport", secret_of(1), own, nonce).take_output();
}

}  // namespace phoenix::testing_tools
