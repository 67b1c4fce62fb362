#pragma once
/// What the command line names outside of pflight: programs, folders; and options that do not exist.

#include "memory/control_segment.hpp"

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace phoenix::pflight {

/// Whether --mpi is possible at all in this build.
[[nodiscard]] bool built_with_mpi() noexcept;

/// Path of this executable.
[[nodiscard]] std::string own_program();

/// Path of `name` on PATH, empty if it is not there.
[[nodiscard]] std::string path_of_command(std::string_view name);

/// Path of the program to run: `name` itself if it has a '/', else found on PATH or beside pflight.
/// @error invalid_argument  Not found or not executable; says where was looked and what to write.
[[nodiscard]] tl::expected<std::string, Failure> find_program(std::string_view name);

/// Absolute path of folder `name`, which is made if need be and in which a file can be created.
/// @error system  It cannot.
[[nodiscard]] tl::expected<std::string, Failure> writable_folder(std::string_view name);

/// The sentence for an option that `command` does not have, with the nearest one it has.
[[nodiscard]] std::string unknown_option(std::string_view option, const CLI::App& command);

}  // namespace phoenix::pflight
