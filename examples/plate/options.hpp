#pragma once
/// What the command line of the plate asks for.

#include "plate/decomposition.hpp"
#include "support/command_line.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace plate {

struct Options {
    Size size{512, 512};
    std::uint32_t vnodes = 16;
    std::uint64_t steps = 1000;
    double tolerance = 0;    ///< 0: run all steps, without a reduction.
    std::string input_file;  ///< Empty: a cold plate with a hot edge.
    std::string input_dataset;
    std::string output_file;   ///< Empty: none.
    std::string picture_file;  ///< Empty: none.
    bool digest = false;
    std::uint32_t commit_every = 1;
};

/// Parses `ROWSxCOLUMNS`, e.g. 512x1024.
[[nodiscard]] std::optional<Size> parse_size(std::string_view text);

[[nodiscard]] support::CommandLine<Options> parse_options(int argc, const char* const* argv);

/// A sentence if a plate of this size cannot be divided among that many VNodes, else nothing.
[[nodiscard]] std::string check_vnodes(Size size, std::uint32_t vnodes);

}  // namespace plate
