#pragma once
/// What can go wrong with a checkpoint. All of it is expected while running: a value, never an exception.

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace phoenix::checkpoint {

enum class FailureKind : std::uint8_t {
    not_a_checkpoint = 1,  ///< Nothing of ours there, or the path does not exist.
    torn,                  ///< Begun and never finished: files are missing or cut short.
    corrupt,               ///< Complete, but bytes differ from what was written.
    other_domain,          ///< Of a domain with another name.
    other_version,         ///< Written in another file format.
    other_layout,          ///< Fields, element types, ranks, VNodes or program differ.
    superseded,            ///< A checkpoint of a higher generation is there: this job was replaced.
    invalid_argument,      ///< The caller described something that cannot be written or read.
    disk_full,             ///< No space, quota or file size limit reached.
    system                 ///< The operating system or HDF5 refused something.
};

/// `sentence` names path, cause and remedy.
struct Failure {
    FailureKind kind{};
    std::string sentence;
};

template <typename T>
using Result = tl::expected<T, Failure>;

[[nodiscard]] inline tl::unexpected<Failure> fail(FailureKind kind, std::string sentence) {
    return tl::unexpected<Failure>(Failure{kind, std::move(sentence)});
}

}  // namespace phoenix::checkpoint
