#pragma once
/// Errors at the public boundary: wrong use, a set-up that cannot work, a job that ended.

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace phoenix {

/// What went wrong, for programs; Error::what() is the sentence for people.
enum class Errc : std::uint8_t {
    invalid_argument = 1,  ///< A parameter of a call is outside what its contract allows.
    wrong_state,           ///< The call is not allowed here (outside a step, after a run, twice, ...).
    mismatch,              ///< Two members, or this run and a checkpoint, disagree about the program.
    no_memory,             ///< Shared memory (or a limit on it) does not suffice.
    system,                ///< The operating system refused something.
    refused,               ///< A join was refused: credential, version, full table.
    deadlock,              ///< Every VNode waits and nothing is in flight.
    not_deterministic,     ///< A repeated step did not do the same again.
    step_failed,           ///< A step function threw, or crashed whoever executed it.
    member_lost,           ///< State died with a member and cannot be had back.
    corrupt,               ///< A checkpoint or a segment is damaged.
    interrupted,           ///< Ended by Ctrl-C, SIGTERM or the launcher.
    internal               ///< A bug in this library.
};

/// Short name of `code`, e.g. "invalid_argument".
[[nodiscard]] std::string_view name_of(Errc code) noexcept;

/// Thrown at the public boundary. what() is one sentence that names the cause and the remedy.
class Error : public std::runtime_error {
  public:
    Error(Errc code, const std::string& sentence) : std::runtime_error(sentence), code_(code) {}
    [[nodiscard]] Errc code() const noexcept { return code_; }

  private:
    Errc code_;
};

}  // namespace phoenix
