#include "pflight/members.hpp"

#include "base/clock.hpp"
#include "memory/member_table.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <string_view>
#include <sys/wait.h>

namespace phoenix::pflight {

namespace {

constexpr std::uint32_t exited_by_itself = 0x100;

struct ParentAndState {
    pid_t parent{0};
    char state{'X'};
};

ParentAndState stat_of(pid_t pid) noexcept {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
    std::FILE* file = std::fopen(path, "re");
    if (file == nullptr) return {};
    char text[512];
    const std::size_t size = std::fread(text, 1, sizeof text - 1, file);
    std::fclose(file);
    text[size] = '\0';
    const char* end = std::strrchr(text, ')');  // the command name may hold anything
    ParentAndState result;
    int parent = 0;
    if (end == nullptr || std::sscanf(end + 1, " %c %d", &result.state, &parent) != 2) return {};
    result.parent = parent;
    return result;
}

}  // namespace

std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> children;
    DIR* directory = opendir("/proc");
    if (directory == nullptr) return children;
    while (const dirent* entry = readdir(directory)) {
        const std::string_view name = entry->d_name;
        pid_t pid = 0;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (error != std::errc{} || end != name.data() + name.size()) continue;
        if (stat_of(pid).parent == parent) children.push_back(pid);
    }
    closedir(directory);
    return children;
}

char process_state(pid_t pid) noexcept { return stat_of(pid).state; }

std::optional<int> MemberProcess::exit_status() const noexcept {
    if (wait_status) return WIFEXITED(*wait_status) ? std::optional<int>{WEXITSTATUS(*wait_status)} : std::nullopt;
    if ((exit_state & exited_by_itself) != 0) return static_cast<int>(exit_state & 0xFF);
    return std::nullopt;
}

std::optional<int> MemberProcess::ending_signal() const noexcept {
    if (exit_status()) return std::nullopt;
    if (wait_status && WIFSIGNALED(*wait_status)) return WTERMSIG(*wait_status);
    return fault_signal != 0 ? static_cast<int>(fault_signal) : SIGKILL;
}

void MemberProcesses::add(pid_t pid, bool is_child, bool grown) {
    add(ProcessIdentity{pid, start_time_of(pid)}, is_child, grown);
}

void MemberProcesses::add(ProcessIdentity identity, bool is_child, bool grown) {
    const bool known = std::any_of(processes_.begin(), processes_.end(),
                                   [&](const MemberProcess& process) { return process.identity == identity; });
    if (known) return;
    // Members may come and go for ever: one that has left the work as asked, or never was in it, makes place for
    // another.
    const auto place = std::find_if(processes_.begin(), processes_.end(), [](const MemberProcess& process) {
        const bool no_part = !process.attached() || (process.left_in_order && process.drained);
        return process.ended && process.grown && no_part;
    });
    MemberProcess& process = place == processes_.end() ? processes_.emplace_back() : *place;
    process = MemberProcess{};
    process.identity = identity;
    process.handle = ProcessHandle{identity};
    process.is_child = is_child;
    process.grown = grown;
}

void MemberProcesses::look() {
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberRecord& record = segment_->member(slot);
        const MemberIdentity who = identity_of(record);
        if (!who.attached() || record.collected.load(std::memory_order_relaxed) == who.incarnation)
            continue;                                // our own
        if (who.role == MemberRole::port) continue;  // see PortKeeper
        const auto is_it = [&](const MemberProcess& process) { return process.identity == who.process; };
        auto found = std::find_if(processes_.begin(), processes_.end(), is_it);
        if (found == processes_.end()) {
            add(who.process, false, false);
            found = std::find_if(processes_.begin(), processes_.end(), is_it);
        }
        found->slot = slot;
        found->incarnation = who.incarnation;
    }
}

void MemberProcesses::read_last_words(MemberProcess& process) const noexcept {
    if (!process.slot) return;
    MemberRecord& record = segment_->member(*process.slot);
    const MemberIdentity who = identity_of(record);
    // Nobody gets the slot before we have collected it, unless we could not be seen to live.
    if (who.incarnation != process.incarnation) return;
    process.left_in_order = who.presence != Presence::present;
    process.drained = record.drained.load(std::memory_order_acquire) != 0;
    process.exit_state = record.exit_state.load(std::memory_order_acquire);
    process.fault_signal = record.fault_signal.load(std::memory_order_acquire);
    // Release: our reads come before the slot's next use; pairs with the acquire load in find_remains.
    record.collected.store(process.incarnation, std::memory_order_release);
}

std::vector<std::size_t> MemberProcesses::collect_ended() {
    std::vector<std::size_t> news;
    for (std::size_t index = 0; index < processes_.size(); ++index)
        if (!processes_[index].ended && processes_[index].handle.dead()) news.push_back(index);
    if (!news.empty()) look();  // one may have attached since the last look, and ended
    for (const std::size_t index : news) {
        MemberProcess& process = processes_[index];
        process.ended = true;
        process.ended_ns = boot_time_ns();
        process.handle = {};
        read_last_words(process);
        int status = 0;
        if (process.is_child && waitpid(process.identity.pid, &status, WNOHANG) == process.identity.pid)
            process.wait_status = status;
    }
    return news;
}

std::size_t MemberProcesses::living() const noexcept {
    return static_cast<std::size_t>(std::count_if(processes_.begin(), processes_.end(),
                                                  [](const MemberProcess& process) { return !process.ended; }));
}

void MemberProcesses::signal_all(int number) const noexcept {
    for (const MemberProcess& process : processes_)
        if (!process.ended) process.handle.signal(number);
}

}  // namespace phoenix::pflight
