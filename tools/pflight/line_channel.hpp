#pragma once
/// Lines over two pipes that never keep anybody waiting: what does not fit waits here.

#include "base/process.hpp"

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace phoenix::pflight {

class LineChannel {
  public:
    LineChannel() = default;
    /// Both become non-blocking.
    LineChannel(FileDescriptor in, FileDescriptor out);

    [[nodiscard]] int descriptor() const noexcept {
        return in_.get();
    }  ///< For poll(); -1 once the other side is gone.
    /// Nothing more comes: the other side has closed or died, or sent a line that has no end.
    [[nodiscard]] bool closed() const noexcept { return !in_.valid() && lines_.empty(); }

    /// The next whole line that has come, without its end; nothing if there is none yet.
    std::optional<std::string> take_line();
    /// `line` has its end. What is sent to somebody who is gone is dropped.
    void send(std::string_view line);
    /// Sends what did not fit before.
    void flush();
    /// Waits until all is sent, but not for longer than `timeout_ms` and not for somebody who is gone.
    void drain(int timeout_ms);
    [[nodiscard]] std::size_t unsent() const noexcept { return unsent_.size(); }

  private:
    void receive();

    FileDescriptor in_;
    FileDescriptor out_;
    std::string received_;
    std::deque<std::string> lines_;
    std::string unsent_;
};

/// Takes the whole lines from the front of `buffer`. Pure.
[[nodiscard]] std::vector<std::string> split_lines(std::string& buffer);

}  // namespace phoenix::pflight
