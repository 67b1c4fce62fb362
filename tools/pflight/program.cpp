#include "pflight/program.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <numeric>
#include <unistd.h>

namespace phoenix::pflight {

namespace {

namespace fs = std::filesystem;

bool is_program(const fs::path& path) {
    std::error_code error;
    return fs::is_regular_file(path, error) && access(path.c_str(), X_OK) == 0;
}

std::size_t edit_distance(std::string_view left, std::string_view right) {
    std::vector<std::size_t> row(right.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= left.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= right.size(); ++j) {
            const std::size_t replaced = diagonal + (left[i - 1] == right[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row.back();
}

}  // namespace

bool built_with_mpi() noexcept {
#ifdef PHOENIX_WITH_MPI
    return true;
#else
    return false;
#endif
}

std::string own_program() {
    std::error_code error;
    const fs::path path = fs::read_symlink("/proc/self/exe", error);
    return is_program(path) ? path.string() : std::string{"/proc/self/exe"};  // it may have been replaced meanwhile
}

std::string path_of_command(std::string_view name) {
    const char* path = std::getenv("PATH");
    std::string_view rest = path == nullptr ? std::string_view{"/usr/bin:/bin"} : std::string_view{path};
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(':'), rest.size());
        const fs::path candidate = fs::path{rest.substr(0, end)} / name;
        if (end > 0 && is_program(candidate)) return candidate.string();
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return {};
}

tl::expected<std::string, Failure> find_program(std::string_view name) {
    const auto wrong = [](std::string sentence) {
        return tl::unexpected(Failure{Errc::invalid_argument, std::move(sentence)});
    };
    const fs::path given{name};
    std::error_code error;
    if (name.find('/') == std::string_view::npos) {
        if (std::string found = path_of_command(name); !found.empty()) return found;
        const fs::path beside = fs::read_symlink("/proc/self/exe", error).parent_path() / given;
        if (is_program(beside)) return beside.string();
        const std::string remedy = is_program(given) ? fmt::format("write ./{}", name) : std::string{"give its path"};
        return wrong(fmt::format("There is no program '{}' on PATH or beside pflight; {}.", name, remedy));
    }
    if (is_program(given)) return given.string();
    if (!fs::exists(given, error)) return wrong(fmt::format("There is no program '{}'; check the path.", name));
    if (fs::is_directory(given, error)) return wrong(fmt::format("'{}' is a directory; name the program in it.", name));
    return wrong(fmt::format("'{}' is not executable; if it is the program, run: chmod +x '{}'.", name, name));
}

tl::expected<std::string, Failure> writable_folder(std::string_view name) {
    const fs::path folder = fs::absolute(fs::path{name}).lexically_normal();
    std::error_code error;
    fs::create_directories(folder, error);
    int reason = error.value();
    if (!error) {
        // Only making a file tells: root passes access() on a read-only file system.
        std::string probe = (folder / ".pflight-XXXXXX").string();
        const int descriptor = mkostemp(probe.data(), O_CLOEXEC);
        reason = descriptor < 0 ? errno : 0;
        if (descriptor >= 0) {
            close(descriptor);
            unlink(probe.c_str());
        }
    }
    if (reason == 0) return folder.string();
    return tl::unexpected(
        Failure{Errc::system, fmt::format("Checkpoints cannot be written to '{}': {}; name a directory that you "
                                          "may write to.",
                                          name, std::strerror(reason))});
}

std::string unknown_option(std::string_view option, const CLI::App& command) {
    const std::string_view bare = option.substr(0, option.find('='));
    std::string nearest;
    std::size_t least = 3;  // further away it is a guess
    for (const CLI::Option* known : command.get_options()) {
        for (const std::string& name : known->get_lnames()) {
            const std::size_t distance = edit_distance(bare, "--" + name);
            if (distance >= least) continue;
            least = distance;
            nearest = "--" + name;
        }
    }
    const std::string remedy = nearest.empty() ? fmt::format("'pflight {} --help' lists them.", command.get_name())
                                               : fmt::format("did you mean {}?", nearest);
    return fmt::format("pflight {} has no option '{}'; {}", command.get_name(), bare, remedy);
}

}  // namespace phoenix::pflight
