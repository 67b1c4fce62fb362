#include "pflight/argument.hpp"

#include "control/fault_plan.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <fmt/format.h>

namespace phoenix::pflight {

namespace {

constexpr std::uint64_t day_ns = 86'400'000'000'000;

}  // namespace

std::optional<std::uint64_t> whole_number(std::string_view text) noexcept {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<std::uint64_t> seconds_in_ns(std::string_view text) {
    const bool bare = !text.empty() && std::isdigit(static_cast<unsigned char>(text.back())) != 0;
    const auto time = parse_duration(bare ? fmt::format("{}s", text) : std::string{text});
    return time && *time <= day_ns ? std::optional{*time} : std::nullopt;
}

tl::expected<void, Failure> check_job_id(std::string_view text) {
    const bool is_name = std::all_of(text.begin(), text.end(),
                                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; });
    if (is_name && text.size() <= 40) return {};
    return tl::unexpected(
        Failure{Errc::invalid_argument,
                fmt::format("--job '{}': a name of 1 to 40 letters, digits, '-' and '_' is expected.", text)});
}

tl::expected<std::uint32_t, Failure> node_number(std::string_view text) {
    const auto number = whole_number(text);
    if (number && *number < node_count_max) return static_cast<std::uint32_t>(*number);
    return refusal(Errc::invalid_argument,
                   fmt::format("--node {}: the number of a node is expected; 'pflight status' lists them.", text));
}

}  // namespace phoenix::pflight
