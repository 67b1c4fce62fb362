#include "plate/options.hpp"

#include <charconv>
#include <fmt/format.h>

namespace plate {

namespace {

// Of a plate: beyond it offsets in bytes would not fit in 63 bits.
constexpr std::uint64_t points_max = std::uint64_t{1} << 48;

/// As typed; an empty text is a mistake, not an absent option.
struct Texts {
    std::optional<std::string> size;
    std::optional<std::string> input;
};

std::string split_input(const std::string& text, Options& options) {
    const std::size_t colon = text.rfind(":/");
    if (colon == std::string::npos || colon == 0 || colon + 2 == text.size())
        return fmt::format("--input '{}' is not FILE.h5:/DATASET, for example plate.h5:/heat", text);
    options.input_file = text.substr(0, colon);
    options.input_dataset = text.substr(colon + 1);
    return {};
}

std::string check(Options& options, const Texts& texts) {
    if (texts.size && texts.input) return "--size and --input exclude each other: the input has its own size";
    if (texts.size) {
        const auto size = parse_size(*texts.size);
        if (!size)
            return fmt::format("--size '{}' is not ROWSxCOLUMNS with two numbers from 1 on, for example 512x1024",
                               *texts.size);
        options.size = *size;
    }
    if (texts.input) {
        if (std::string mistake = split_input(*texts.input, options); !mistake.empty()) return mistake;
    }
    if (options.vnodes == 0) return "--vnodes must be at least 1";
    if (!(options.tolerance >= 0)) return "--tolerance must be 0 or more";
    if (options.commit_every == 0) return "--commit-every must be at least 1";
    if (!options.output_file.empty() && options.output_file == options.picture_file)
        return "--output and --picture name the same file";
    return texts.input ? std::string{} : check_vnodes(options.size, options.vnodes);
}

}  // namespace

std::optional<Size> parse_size(std::string_view text) {
    Size size;
    const char* const end = text.data() + text.size();
    const auto rows = std::from_chars(text.data(), end, size.rows);
    if (rows.ec != std::errc{} || rows.ptr == end || *rows.ptr != 'x') return std::nullopt;
    const auto columns = std::from_chars(rows.ptr + 1, end, size.columns);
    if (columns.ec != std::errc{} || columns.ptr != end) return std::nullopt;
    if (size.rows == 0 || size.columns == 0 || size.rows > points_max / size.columns) return std::nullopt;
    return size;
}

support::CommandLine<Options> parse_options(int argc, const char* const* argv) {
    Texts texts;
    return support::parse_command_line<Options>(
        argc, argv,
        "Heat on a plate: Jacobi relaxation of the five-point stencil; the outermost points keep their temperature.",
        [&texts](CLI::App& app, Options& options) {
            app.add_option("--size", texts.size, "rows and columns of the plate, RxC (default 512x512)");
            app.add_option("--vnodes", options.vnodes, "number of VNodes the plate is divided among")
                ->capture_default_str();
            app.add_option("--steps", options.steps, "steps to run at most")->capture_default_str();
            app.add_option("--tolerance", options.tolerance,
                           "stop when no point changes by this much; 0: run all steps")
                ->capture_default_str();
            app.add_option("--input", texts.input, "initial temperatures, FILE.h5:/DATASET (two-dimensional)");
            app.add_option("--output", options.output_file,
                           "write the final temperatures to this HDF5 file, dataset /heat");
            app.add_option("--picture", options.picture_file,
                           "write a picture of the final temperatures to this PNG file");
            app.add_flag("--digest", options.digest, "print a digest of the final plate, row by row");
            app.add_option("--commit-every", options.commit_every, "steps between two commits of a VNode")
                ->capture_default_str();
        },
        [&texts](Options& options) { return check(options, texts); });
}

std::string check_vnodes(Size size, std::uint32_t vnodes) {
    if (decompose(size, vnodes)) return {};
    return fmt::format("{} VNodes do not divide a plate of {}x{} into blocks of at least one point; {} do", vnodes,
                       size.rows, size.columns, nearest_vnodes(size, vnodes));
}

}  // namespace plate
