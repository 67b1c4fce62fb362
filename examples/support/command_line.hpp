#pragma once
/// Command lines of the examples: parsed before the runtime starts, mistakes reported through it.

#include <CLI/CLI.hpp>
#include <string>

namespace support {

/// What came of parsing: options to run with, a help text to print, or a mistake.
template <typename Options>
struct CommandLine {
    Options options;
    std::string help;  ///< Not empty: print it and end.
    std::string
        mistake;  ///< Not empty: a sentence. Every member finds the same one, so it is for runtime.once() to throw.
};

/// Parses with the options that declare(app, options) adds; check(options) returns a sentence or nothing.
template <typename Options, typename Declare, typename Check>
[[nodiscard]] CommandLine<Options> parse_command_line(int argc, const char* const* argv, const char* description,
                                                      Declare&& declare, Check&& check) {
    CommandLine<Options> line;
    CLI::App app{description};
    declare(app, line.options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        line.help = app.help();
        return line;
    } catch (const CLI::ParseError& error) {
        line.mistake = std::string{error.what()} + " (--help lists the options)";
        return line;
    }
    line.mistake = check(line.options);
    return line;
}

}  // namespace support
