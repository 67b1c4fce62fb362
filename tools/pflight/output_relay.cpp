#include "pflight/output_relay.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace phoenix::pflight {

namespace {

constexpr std::size_t taken_at_once_max = 65536;

}  // namespace

tl::expected<OutputRelay, Failure> OutputRelay::create() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return refusal(Errc::system, fmt::format("Cannot make a pipe: {}.", std::strerror(errno)));
    // Only our end: members write as to any pipe, and wait if nobody reads.
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return OutputRelay{FileDescriptor{ends[0]}, FileDescriptor{ends[1]}};
}

std::string OutputRelay::take() const {
    std::string bytes(taken_at_once_max, '\0');
    ssize_t size = 0;
    do {
        size = read(read_end_.get(), bytes.data(), bytes.size());
    } while (size < 0 && errno == EINTR);
    bytes.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return bytes;
}

}  // namespace phoenix::pflight
