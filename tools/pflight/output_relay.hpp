#pragma once
/// What the members of a node print, on its way to the launcher on another machine: a pipe that the agent empties.

#include "base/process.hpp"

#include <string>
#include <tl/expected.hpp>

#include "memory/control_segment.hpp"

namespace phoenix::pflight {

class OutputRelay {
  public:
    /// @error system  No pipe can be made.
    [[nodiscard]] static tl::expected<OutputRelay, Failure> create();

    /// For the members, as their stdout.
    [[nodiscard]] int write_end() const noexcept { return write_end_.get(); }
    /// For poll().
    [[nodiscard]] int descriptor() const noexcept { return read_end_.get(); }
    /// What they have printed and nobody has taken, at most 64 KiB of it; empty: nothing. Never waits.
    [[nodiscard]] std::string take() const;

  private:
    OutputRelay(FileDescriptor read_end, FileDescriptor write_end) noexcept
        : read_end_(std::move(read_end)), write_end_(std::move(write_end)) {}

    FileDescriptor read_end_;
    FileDescriptor write_end_;  ///< Kept open for members that join.
};

}  // namespace phoenix::pflight
