#include "pflight/remote_shell.hpp"

namespace phoenix::pflight {

RemoteShell secure_shell() {
    return {{"ssh", "-T", "-x", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=5", "-o",
             "ServerAliveCountMax=3"},
            false};
}

// One step per host, beside whatever else runs there; --no-kill: the step outlives other nodes of the allocation.
RemoteShell slurm_shell() {
    return {{"srun", "--nodes=1", "--ntasks=1", "--overlap", "--no-kill", "--mpi=none", "--cpu-bind=none",
             "--unbuffered", "--quiet"},
            true};
}

RemoteShell own_shell(std::string_view text) {
    RemoteShell shell;
    constexpr std::string_view blanks = " \t";
    for (std::size_t begin = text.find_first_not_of(blanks); begin != std::string_view::npos;) {
        const std::size_t end = text.find_first_of(blanks, begin);
        shell.words.emplace_back(text.substr(begin, end - begin));
        begin = text.find_first_not_of(blanks, end);
    }
    return shell;
}

std::string quoted_for_shell(std::string_view word) {
    std::string quoted = "'";
    for (const char letter : word) {
        if (letter == '\'')
            quoted += "'\\''";
        else
            quoted += letter;
    }
    return quoted + "'";
}

std::vector<std::string> words_for(const RemoteShell& shell, const std::string& host,
                                   const std::vector<std::string>& command) {
    std::vector<std::string> words = shell.words;
    if (shell.takes_words) {
        words.push_back("--nodelist=" + host);
        words.insert(words.end(), command.begin(), command.end());
        return words;
    }
    words.push_back(host);
    std::string line = "exec";
    for (const std::string& word : command) line += " " + quoted_for_shell(word);
    words.push_back(std::move(line));
    return words;
}

}  // namespace phoenix::pflight
