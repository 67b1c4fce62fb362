#include "pflight/launcher.hpp"

#include "base/process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace phoenix::pflight {

namespace {

std::vector<std::string> whole_environment(const Environment& added) {
    std::vector<std::string> result;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        const std::string_view name = text.substr(0, text.find('='));
        const bool replaced =
            std::any_of(added.begin(), added.end(), [&](const auto& pair) { return pair.first == name; });
        if (!replaced) result.emplace_back(text);
    }
    for (const auto& [name, value] : added) result.push_back(name + "=" + value);
    return result;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

struct Descriptors {
    int input;
    int output;
    int passed_on;
    int report;
    bool outlives_readers;
};

// A copy beyond those that are about to be replaced; -1 if there is none.
int out_of_the_way(int descriptor) { return descriptor < 0 ? -1 : fcntl(descriptor, F_DUPFD_CLOEXEC, 10); }

void put_in_place(int descriptor, int place) {
    if (descriptor < 0) return;
    dup2(descriptor, place);
    close(descriptor);
}

// After fork() in a process with threads: nothing but system calls.
[[noreturn]] void become(const char* path, char* const* arguments, char* const* environment, Descriptors descriptors) {
    setpgid(0, 0);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGPIPE, SIGQUIT}) signal(number, SIG_DFL);
    // A process group in the background may still write to a terminal with tostop.
    signal(SIGTTOU, SIG_IGN);
    if (descriptors.outlives_readers) signal(SIGPIPE, SIG_IGN);
    sigset_t none{};
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    const int report = out_of_the_way(descriptors.report);
    const int output = out_of_the_way(descriptors.output);
    const int passed_on = out_of_the_way(descriptors.passed_on);
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    put_in_place(out_of_the_way(descriptors.input < 0 ? null : descriptors.input), STDIN_FILENO);
    put_in_place(output, STDOUT_FILENO);
    put_in_place(passed_on, passed_on_descriptor);
    execve(path, arguments, environment);
    const int error = errno;
    if (write(report, &error, sizeof error) < 0) _exit(126);
    _exit(127);
}

std::string first_line_of(const std::string& command) {
    std::string line;
    if (std::FILE* output = popen(command.c_str(), "re")) {
        std::array<char, 256> buffer{};
        if (std::fgets(buffer.data(), buffer.size(), output) != nullptr) line = buffer.data();
        pclose(output);
    }
    return line;
}

void add_open_mpi_4(std::vector<std::string>& words, bool free) {
    const auto parameter = [&](const char* name, const char* value) {
        words.insert(words.end(), {"--mca", name, value});
    };
    words.insert(words.end(), {"--enable-recovery", "--oversubscribe"});
    parameter("orte_allowed_exit_without_sync", "1");
    parameter("orte_abort_on_non_zero_status", "0");
    parameter("orte_execute_quiet", "1");  // no report about ranks that died: the launcher's own says what that means
    parameter("odls_base_sigkill_timeout", "0");
    if (free) return;
    parameter("pml", "ob1");             // looking for UCX costs a fifth of a second at the start
    parameter("btl", "self,vader,tcp");  // tcp for what a rank spawns
}

void add_open_mpi_5(std::vector<std::string>& words, bool free) {
    // Without this a TCP peer's death aborts the survivors.
    words.insert(words.end(), {"--with-ft", "ulfm", "--map-by", ":OVERSUBSCRIBE"});
    if (!free) words.insert(words.end(), {"--mca", "pml", "ob1", "--mca", "btl", "self,sm,tcp"});
}

}  // namespace

tl::expected<pid_t, Failure> start_process(const ProgramCall& call) {
    std::vector<std::string> words{call.path};
    words.insert(words.end(), call.arguments.begin(), call.arguments.end());
    std::vector<std::string> variables = whole_environment(call.environment);
    const std::vector<char*> arguments = pointers_to(words);
    const std::vector<char*> environment = pointers_to(variables);
    const auto failed = [&](int error) {
        return tl::unexpected(Failure{
            Errc::system, fmt::format("'{}' cannot be started: {}{}.", call.path, std::strerror(error),
                                      error == ENOEXEC ? " (a script needs a first line such as #!/bin/sh)" : "")});
    };
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return failed(errno);
    const FileDescriptor read_end{ends[0]};
    FileDescriptor write_end{ends[1]};
    const pid_t child = fork();
    if (child < 0) return failed(errno);
    if (child == 0)
        become(call.path.c_str(), arguments.data(), environment.data(),
               {call.standard_input, call.standard_output, call.passed_on, write_end.get(), call.outlives_readers});
    write_end = FileDescriptor{};
    // The pipe closes when the program begins; before that it may say why it does not.
    int error = 0;
    ssize_t size = 0;
    do {
        size = read(read_end.get(), &error, sizeof error);
    } while (size < 0 && errno == EINTR);
    if (size != sizeof error) return child;
    waitpid(child, nullptr, 0);
    return failed(error);
}

int open_mpi_major(std::string_view version_text) {
    constexpr std::string_view mark = "(Open MPI) ";
    const std::size_t found = version_text.find(mark);
    int major = 0;
    if (found != std::string_view::npos) {
        const std::string_view number = version_text.substr(found + mark.size());
        std::from_chars(number.data(), number.data() + number.size(), major);
    }
    return major;
}

std::vector<std::string> mpirun_arguments(const MpirunCall& call, int major, unsigned cores) {
    std::vector<std::string> words;
    if (major >= 5)
        add_open_mpi_5(words, call.free);
    else
        add_open_mpi_4(words, call.free);
    // Ranks bound to one core each would share it when there are more ranks than cores.
    if (call.ranks > cores || call.free) words.insert(words.end(), {"--bind-to", "none"});
    words.insert(words.end(), call.more.begin(), call.more.end());
    words.insert(words.end(), {"-n", std::to_string(call.ranks)});
    // By name only: values on a command line are there for all users to read.
    for (const auto& [name, value] : call.program.environment) words.insert(words.end(), {"-x", name});
    words.push_back(call.program.path);
    words.insert(words.end(), call.program.arguments.begin(), call.program.arguments.end());
    return words;
}

tl::expected<pid_t, Failure> start_mpirun(const MpirunCall& call) {
    const std::string version = first_line_of(fmt::format("'{}' --version 2>/dev/null </dev/null", call.mpirun));
    const int major = open_mpi_major(version);
    if (major < 4)
        return tl::unexpected(Failure{
            Errc::system, fmt::format("'{}' is not Open MPI 4 or 5 (it says '{}'); put one on PATH or write --local.",
                                      call.mpirun, version.substr(0, version.find('\n')))});
    ProgramCall mpirun{call.mpirun, mpirun_arguments(call, major, std::max(1U, std::thread::hardware_concurrency())),
                       call.program.environment};
    // Containers run as root; and the report of its PMIx server about a dead rank is no news for the user.
    for (const char* name : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "PRTE_ALLOW_RUN_AS_ROOT",
                             "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM"})
        mpirun.environment.emplace_back(name, "1");
    mpirun.environment.emplace_back("PMIX_OUTPUT_REDIRECT", "syslog");
    return start_process(mpirun);
}

std::string environment_of(pid_t pid, std::string_view name) {
    std::ifstream file{fmt::format("/proc/{}/environ", pid), std::ios::binary};
    for (std::string entry; std::getline(file, entry, '\0');) {
        if (entry.size() > name.size() && entry[name.size()] == '=' &&
            std::string_view{entry}.substr(0, name.size()) == name)
            return entry.substr(name.size() + 1);
    }
    return {};
}

// Open MPI 4 names them vader_segment.<host>.<uid>.<job in hexadecimal>.<rank>; PMIX_NAMESPACE is the job in decimal.
// The upper half of its number is common to the ranks that mpirun started and those that they spawned.
void remove_open_mpi_segments(std::string_view name_space) noexcept {
    std::uint32_t job = 0;
    const auto [end, error] = std::from_chars(name_space.data(), name_space.data() + name_space.size(), job);
    if (name_space.empty() || error != std::errc{} || end != name_space.data() + name_space.size()) return;
    DIR* directory = opendir("/dev/shm");
    if (directory == nullptr) return;
    const std::string mark = fmt::format(".{}.{:x}", getuid(), job >> 16);
    while (const dirent* entry = readdir(directory)) {
        const std::string_view file = entry->d_name;
        const std::size_t found = file.find(mark);
        const std::size_t rank = found + mark.size() + 4;  // behind the lower half
        if (file.substr(0, 14) != "vader_segment." || found == std::string_view::npos || rank >= file.size()) continue;
        if (file[rank] == '.') unlinkat(dirfd(directory), entry->d_name, 0);
    }
    closedir(directory);
}

}  // namespace phoenix::pflight
