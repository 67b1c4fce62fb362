/// Results of things done once, taken over from the checkpoints of the run before.

#include "base/process.hpp"
#include "checkpoint/reader.hpp"
#include "runtime/runtime_state.hpp"

#include <algorithm>
#include <dirent.h>
#include <fmt/format.h>

namespace phoenix::detail {

// Before main does anything: what the former run had done once by the time of its newest checkpoint must not be done
// again. Phases and gathers come with their domain, so that they always fit its state.
void RuntimeState::restore_once_results() {
    const std::string& base = context.settings.restart_directory;
    if (base.empty()) return;
    (void)once("restart", [&] {
        DIR* directory = opendir(base.c_str());
        if (directory == nullptr)
            throw Error{
                Errc::invalid_argument,
                fmt::format("The restart directory '{}' cannot be read; give the directory that --checkpoint had.",
                            base)};
        while (const dirent* entry = readdir(directory)) {
            const std::string name = entry->d_name;
            if (name == "." || name == "..") continue;
            const auto opened = checkpoint::open_latest(base + "/" + name, {}, checkpoint::Verification::structure);
            if (!opened) continue;  // reported, if it matters, when the domain of that name asks for it
            // The directory may hold checkpoints of other programs, whose names mean other things.
            const std::string program = program_name();
            const auto& records = opened->reader.cut().records;
            const bool ours = std::any_of(records.begin(), records.end(), [&](const checkpoint::Record& saved) {
                return saved.name == program_record &&
                       std::string_view{reinterpret_cast<const char*>(saved.bytes.data()), saved.bytes.size()} ==
                           program;
            });
            if (!ours) continue;
            for (const checkpoint::Record& saved : opened->reader.cut().records)
                if (saved.name.substr(0, 5) == "once/")
                    record(saved.name, {reinterpret_cast<const char*>(saved.bytes.data()), saved.bytes.size()});
        }
        closedir(directory);
        return std::string{};
    });
}

}  // namespace phoenix::detail
