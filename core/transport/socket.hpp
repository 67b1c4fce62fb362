#pragma once
/// TCP sockets: never blocking, closed on exec, no SIGPIPE, no delay of small packets. Numeric addresses only, because
/// looking up names blocks.

#include "base/process.hpp"
#include "memory/control_segment.hpp"

#include <cstdint>
#include <netinet/in.h>
#include <span>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/uio.h>
#include <tl/expected.hpp>

namespace phoenix {

struct SocketAddress {
    sockaddr_storage value{};
    socklen_t size{};
};

/// @param host  IPv4 or IPv6, "127.0.0.1", "::1".
[[nodiscard]] tl::expected<SocketAddress, Failure> make_address(std::string_view host, std::uint16_t port);
/// "127.0.0.1:4711", "[::1]:4711".
[[nodiscard]] tl::expected<SocketAddress, Failure> parse_address(std::string_view text);
[[nodiscard]] std::string text_of(const SocketAddress& address);
[[nodiscard]] std::uint16_t port_of(const SocketAddress& address) noexcept;
[[nodiscard]] SocketAddress with_port(SocketAddress address, std::uint16_t port) noexcept;
/// Of the socket's own end.
[[nodiscard]] SocketAddress local_address(int socket) noexcept;

[[nodiscard]] tl::expected<FileDescriptor, Failure> listen_at(const SocketAddress& address);

/// Next caller of a listener; not valid() with `error` set (EAGAIN: there is none) else.
[[nodiscard]] FileDescriptor accept_caller(int listener, SocketAddress& from, int& error) noexcept;

/// Begins to connect from the interface of `source` to `address`; not valid() with `error` set if that fails at once.
/// The socket is writable when it is decided.
[[nodiscard]] FileDescriptor begin_connect(const SocketAddress& source, const SocketAddress& address,
                                           int& error) noexcept;
/// How it ended: 0 or an error number.
[[nodiscard]] int connect_outcome(int socket) noexcept;

/// Makes the kernel give up the connection when the other machine does not answer: keepalive while idle, and
/// TCP_USER_TIMEOUT while something is under way (tcp(7)).
void watch_peer(int socket, std::uint32_t timeout_ms) noexcept;

/// As writev(2) and readv(2), again after EINTR; -1 with errno.
[[nodiscard]] ssize_t send_parts(int socket, std::span<iovec> parts) noexcept;
/// If both ends are on one host: lets less lie between them than the kernel would, so that it is still in the cache
/// when it is read. What the kernel allows for distances is megabytes, which are written to memory and fetched again.
void shorten_way_on_one_host(int socket) noexcept;
/// The socket is not reported as readable before `bytes` bytes are there, or its end. A receiver that is faster than
/// its sender would else be woken, at the sender's cost, for every packet. The kernel gives notice all the same when
/// its buffers allow no more.
void expect_bytes(int socket, std::size_t bytes) noexcept;
[[nodiscard]] ssize_t receive_parts(int socket, std::span<iovec> parts) noexcept;

}  // namespace phoenix
