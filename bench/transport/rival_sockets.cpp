// The same over one bare TCP connection with blocking calls: no authentication, no frames, nothing retained or
// repaired.

#include "transport/ours.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace transport_bench {

namespace {

bool send_all(int socket, const void* data, std::size_t size) {
    const auto* at = static_cast<const char*>(data);
    while (size > 0) {
        const ssize_t sent = send(socket, at, size, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        at += sent;
        size -= static_cast<std::size_t>(sent);
    }
    return true;
}

bool receive_all(int socket, void* data, std::size_t size) {
    auto* at = static_cast<char*>(data);
    while (size > 0) {
        const ssize_t received = recv(socket, at, size, 0);
        if (received <= 0) return false;
        at += received;
        size -= static_cast<std::size_t>(received);
    }
    return true;
}

void no_delay(int socket) {
    const int on = 1;
    static_cast<void>(setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
}

bool receive(const Case& what, int listener) {
    const int socket = accept(listener, nullptr, nullptr);
    if (socket < 0) return false;
    no_delay(socket);
    std::vector<std::byte> bytes(what.bytes);
    bool good = true;
    std::uint64_t number = 0;
    for (std::uint32_t sample = 0; sample < what.samples + what.warm_up(); ++sample) {
        for (std::uint32_t i = 0; i < what.messages; ++i) {
            if (!receive_all(socket, bytes.data(), bytes.size())) return false;
            good = good && right_message(bytes, number++);
            if (what.echo && !send_all(socket, bytes.data(), bytes.size())) return false;
        }
        const char done = 1;
        if (!what.echo && !send_all(socket, &done, 1)) return false;
    }
    close(socket);
    return good;
}

bool send_messages(const Case& what, const sockaddr_in& address, Samples& samples) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return false;
    no_delay(socket);
    std::vector<std::vector<std::byte>> messages(what.echo || what.messages == 1 ? 1 : what.messages,
                                                 std::vector<std::byte>(what.bytes, std::byte{1}));
    std::vector<std::byte> answer(what.bytes);
    bool good = true;
    std::uint64_t number = 0;
    for (std::uint32_t sample = 0; sample < what.samples + what.warm_up(); ++sample) {
        samples.begin();
        for (std::uint32_t i = 0; i < what.messages; ++i, ++number) {
            std::vector<std::byte>& bytes = messages[i % messages.size()];
            write_message(bytes, number);
            if (!send_all(socket, bytes.data(), bytes.size())) return false;
            if (!what.echo) continue;
            if (!receive_all(socket, answer.data(), answer.size())) return false;
            good = good && right_message(answer, number);
        }
        char done = 0;
        if (!what.echo && !receive_all(socket, &done, 1)) return false;
        samples.end(sample);
    }
    close(socket);
    return good;
}

}  // namespace

bool run_sockets(const Case& what) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener, reinterpret_cast<const sockaddr*>(&address), size) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        return false;
    Samples samples{what};
    const bool good = in_two_processes([&] { return receive(what, listener); },
                                       [&] { return send_messages(what, address, samples); });
    close(listener);
    samples.print(good);
    return good;
}

}  // namespace transport_bench
