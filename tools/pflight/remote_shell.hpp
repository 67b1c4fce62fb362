#pragma once
/// How a program is started on another machine: by ssh, by srun inside Slurm, or by a command that takes a host and a
/// command line as ssh does. Pure.

#include <string>
#include <string_view>
#include <vector>

namespace phoenix::pflight {

struct RemoteShell {
    std::vector<std::string> words;  ///< Program and arguments, before the host.
    bool takes_words{
        false};  ///< srun: the host is an option, the command comes in words; else as one line for a shell.
};

/// Never asks for a password, and ends by itself when the other machine no longer answers.
[[nodiscard]] RemoteShell secure_shell();
[[nodiscard]] RemoteShell slurm_shell();
/// `text` in words, divided by blanks. Empty text: no words.
[[nodiscard]] RemoteShell own_shell(std::string_view text);

/// What to execute here so that `command` is executed on `host`.
[[nodiscard]] std::vector<std::string> words_for(const RemoteShell& shell, const std::string& host,
                                                 const std::vector<std::string>& command);

/// `word` as one word for a POSIX shell.
[[nodiscard]] std::string quoted_for_shell(std::string_view word);

}  // namespace phoenix::pflight
