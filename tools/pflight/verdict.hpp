#pragma once
/// How a job ended, from how its processes ended. Pure.

#include "pflight/members.hpp"

#include <optional>
#include <string>
#include <vector>

namespace phoenix::pflight {

struct LastCheckpoint {
    std::uint64_t step{0};
    std::string directory;
};

struct Verdict {
    Outcome outcome{Outcome::completed};
    Errc code{Errc::internal};  ///< Unless completed.
    std::string sentence;       ///< Unless completed.
    int exit_status{0};
    /// Of one node of several: no member is left, and none of them has failed. Other nodes may complete the work.
    bool deserted{false};
};

/// All processes have ended and nobody has decided the outcome. Completed means: at least one member left in good order
/// and nobody exited by itself with another status than 0; who was to join later and never attached does not count.
/// @param node  Of these processes, in a job of several nodes.
[[nodiscard]] Verdict verdict_of(const std::vector<MemberProcess>& processes,
                                 const std::optional<LastCheckpoint>& checkpoint,
                                 std::optional<std::uint32_t> node = std::nullopt);

/// "SIGKILL" and so on.
[[nodiscard]] std::string signal_name(int number);

}  // namespace phoenix::pflight
