#include "pflight/line_channel.hpp"

#include "base/clock.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace phoenix::pflight {

namespace {

constexpr std::size_t line_size_max = std::size_t{8} << 20;  // the command line of a program takes 2 MiB at most

void make_nonblocking(int descriptor) noexcept {
    const int flags = fcntl(descriptor, F_GETFL);
    if (flags >= 0) fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

}  // namespace

std::vector<std::string> split_lines(std::string& buffer) {
    std::vector<std::string> lines;
    std::size_t begin = 0;
    for (std::size_t end = buffer.find('\n'); end != std::string::npos; end = buffer.find('\n', begin)) {
        lines.push_back(buffer.substr(begin, end - begin));
        begin = end + 1;
    }
    buffer.erase(0, begin);
    return lines;
}

LineChannel::LineChannel(FileDescriptor in, FileDescriptor out) : in_(std::move(in)), out_(std::move(out)) {
    make_nonblocking(in_.get());
    make_nonblocking(out_.get());
}

std::optional<std::string> LineChannel::take_line() {
    if (lines_.empty()) receive();
    if (lines_.empty()) return std::nullopt;
    std::string line = std::move(lines_.front());
    lines_.pop_front();
    return line;
}

void LineChannel::receive() {
    std::array<char, 65536> bytes;
    while (in_.valid()) {
        const ssize_t size = read(in_.get(), bytes.data(), bytes.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (size > 0) received_.append(bytes.data(), static_cast<std::size_t>(size));
        for (std::string& line : split_lines(received_)) lines_.push_back(std::move(line));
        // Half a line at the end was being written by somebody who died.
        if (size <= 0 || received_.size() > line_size_max) in_ = FileDescriptor{};
    }
}

void LineChannel::send(std::string_view line) {
    if (!out_.valid()) return;
    unsent_ += line;
    flush();
}

void LineChannel::flush() {
    std::size_t sent = 0;
    while (out_.valid() && sent < unsent_.size()) {
        const ssize_t size = write(out_.get(), unsent_.data() + sent, unsent_.size() - sent);
        if (size > 0) {
            sent += static_cast<std::size_t>(size);
        } else if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        } else if (size < 0 && errno != EINTR) {
            out_ = FileDescriptor{};
        }
    }
    unsent_.erase(0, out_.valid() ? sent : std::string::npos);
}

void LineChannel::drain(int timeout_ms) {
    const std::uint64_t deadline = boot_time_ns() + static_cast<std::uint64_t>(timeout_ms) * 1'000'000;
    for (flush(); out_.valid() && !unsent_.empty() && boot_time_ns() < deadline; flush()) {
        pollfd wait{out_.get(), POLLOUT, 0};
        poll(&wait, 1, 50);
    }
}

}  // namespace phoenix::pflight
