#pragma once
/// Words of the command line as values. Pure.

#include "memory/control_segment.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <tl/expected.hpp>

namespace phoenix::pflight {

/// Decimal digits and nothing else.
[[nodiscard]] std::optional<std::uint64_t> whole_number(std::string_view text) noexcept;

/// Seconds ("30", "0.5", at most a day) or a time with its unit ("500ms", "3s"), in ns.
[[nodiscard]] std::optional<std::uint64_t> seconds_in_ns(std::string_view text);

/// @error invalid_argument  `text` is no name that a job can have; an empty one is: it stands for none.
[[nodiscard]] tl::expected<void, Failure> check_job_id(std::string_view text);

/// The number of a node, as --node takes it.
/// @error invalid_argument  `text` is none.
[[nodiscard]] tl::expected<std::uint32_t, Failure> node_number(std::string_view text);

}  // namespace phoenix::pflight
