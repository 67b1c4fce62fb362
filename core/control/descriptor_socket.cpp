#include "control/descriptor_socket.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fmt/format.h>
#include <optional>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace phoenix {

namespace {

constexpr int backlog = 512;  // more than member_count_max: all members may come at once
constexpr timeval answer_timeout{10, 0};

struct Address {
    sockaddr_un value{};
    socklen_t size{};
};

Address abstract_address(std::string_view name) {
    Address address;
    address.value.sun_family = AF_UNIX;
    const std::size_t length = std::min(name.size(), sizeof address.value.sun_path - 1);
    std::memcpy(address.value.sun_path + 1, name.data(), length);  // the leading 0 makes it abstract
    address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
    return address;
}

const sockaddr* as_sockaddr(const Address& address) noexcept {
    return reinterpret_cast<const sockaddr*>(&address.value);
}

std::optional<ucred> peer_of(int socket) noexcept {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
    return peer;
}

// A message of one byte with room for one descriptor beside it. Not movable: the message points into it.
struct DescriptorMessage {
    DescriptorMessage() noexcept {
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = sizeof control;
    }
    DescriptorMessage(const DescriptorMessage&) = delete;
    DescriptorMessage& operator=(const DescriptorMessage&) = delete;
    ~DescriptorMessage() = default;

    char byte{0};
    iovec part{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr header{};
};

}  // namespace

tl::expected<FileDescriptor, Failure> listen_for_members(std::string_view name) {
    FileDescriptor listener{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    const Address address = abstract_address(name);
    if (!listener.valid() || bind(listener.get(), as_sockaddr(address), address.size) != 0 ||
        listen(listener.get(), backlog) != 0)
        return tl::unexpected(Failure{
            Errc::system, fmt::format("Cannot listen on the unix socket @{}: {}.", name, std::strerror(errno))});
    return listener;
}

void serve_descriptor(int listener, int descriptor) noexcept {
    const FileDescriptor caller{accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (!caller.valid()) return;
    const std::optional<ucred> peer = peer_of(caller.get());
    if (!peer || peer->uid != geteuid()) return;
    DescriptorMessage message;
    cmsghdr* part = CMSG_FIRSTHDR(&message.header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(part), &descriptor, sizeof descriptor);
    // A fresh connection has room for one byte, so this sends at once; a caller that hung up is its own affair.
    while (sendmsg(caller.get(), &message.header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EINTR) {
    }
}

tl::expected<ReceivedDescriptor, Failure> fetch_descriptor(std::string_view name) {
    const auto failed = [&](int error) {
        return tl::unexpected(
            Failure{Errc::system, fmt::format("Cannot get the job's shared memory from its launcher (@{}): {}.", name,
                                              std::strerror(error))});
    };
    const FileDescriptor connection{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!connection.valid()) return failed(errno);
    setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &answer_timeout, sizeof answer_timeout);  // bounds connect()
    setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &answer_timeout, sizeof answer_timeout);
    const Address address = abstract_address(name);
    int status = 0;
    do {
        status = connect(connection.get(), as_sockaddr(address), address.size);
    } while (status != 0 && errno == EINTR);
    if (status != 0) return failed(errno);
    const std::optional<ucred> peer = peer_of(connection.get());
    if (!peer) return failed(errno);
    // Anybody may take an abstract name once its owner is gone.
    if (peer->uid != geteuid())
        return tl::unexpected(Failure{
            Errc::refused,
            fmt::format("The socket @{} belongs to user {} and not to you; start the job again.", name, peer->uid)});
    DescriptorMessage message;
    ssize_t size = 0;
    do {
        size = recvmsg(connection.get(), &message.header, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size < 0) return failed(errno);
    const cmsghdr* part = CMSG_FIRSTHDR(&message.header);
    if (size != 1 || part == nullptr || part->cmsg_type != SCM_RIGHTS || part->cmsg_len != CMSG_LEN(sizeof(int)))
        return failed(ECONNRESET);
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(part), sizeof descriptor);
    return ReceivedDescriptor{FileDescriptor{descriptor}, peer->pid};
}

}  // namespace phoenix
