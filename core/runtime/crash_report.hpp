#pragma once
/// Last words of a process, and what is made of them: a VNode that crashes whoever executes it ends the run (rule 24).

#include "runtime/member_context.hpp"

#include <optional>
#include <string>

namespace phoenix {

class FiberPool;

/// Word for MemberRecord::executing.
[[nodiscard]] constexpr std::uint64_t executing_word(std::uint32_t domain, std::uint32_t vnode,
                                                     std::uint32_t serial) noexcept {
    return std::uint64_t{domain + 1} << 56 | std::uint64_t{vnode} << 32 | serial;
}

/// Installs handlers for SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT, on an alternate stack, that store signal and
/// address in the member record and raise the signal again; and one for exit(), which stores the status. Both are for
/// the life of the process. `fibers` tells stack overflows.
void install_last_words(MemberContext& context, const FiberPool& fibers);
/// Stores the exit status as exit() would; for paths that end by _exit().
void note_exit(int status) noexcept;
/// The pool is going away; the handlers keep the rest.
void forget_fibers() noexcept;

/// The sentence that ends the run if the deaths of members in `view` say that one VNode's step kills its executors.
[[nodiscard]] std::optional<std::string> crash_verdict(const MemberContext& context, const View& view);

}  // namespace phoenix
