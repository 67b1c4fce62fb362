#pragma once
/// Handing a file descriptor to another process of the same user over an abstract unix socket (unix(7)).

#include "base/process.hpp"
#include "memory/control_segment.hpp"

#include <string_view>
#include <tl/expected.hpp>

namespace phoenix {

/// Listens on the abstract socket `name`. The name vanishes with the descriptor.
[[nodiscard]] tl::expected<FileDescriptor, Failure> listen_for_members(std::string_view name);

/// Accepts one caller and gives it `descriptor`; callers of other users are turned away. Never waits for the caller.
void serve_descriptor(int listener, int descriptor) noexcept;

/// A descriptor received, and who sent it.
struct ReceivedDescriptor {
    FileDescriptor descriptor;
    pid_t sender{};  ///< As this PID namespace sees it; 0 if it lives in another one.
};

/// Fetches the descriptor served at `name`.
/// @error system   Nobody listens there, or no answer within 10 s.
/// @error refused  Another user listens there.
[[nodiscard]] tl::expected<ReceivedDescriptor, Failure> fetch_descriptor(std::string_view name);

}  // namespace phoenix
