#pragma once
/// What a member is called: "2" in a job of one node, "1.2" (node.slot) in a job of several. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace phoenix::pflight {

struct MemberName {
    std::optional<std::uint32_t> node;  ///< Nothing: the job has one node.
    std::uint32_t slot{0};
    friend bool operator==(const MemberName&, const MemberName&) = default;
};

[[nodiscard]] std::string text_of(const MemberName& name);
/// Nothing if `text` is neither "SLOT" nor "NODE.SLOT", or a number is too large.
[[nodiscard]] std::optional<MemberName> parse_member_name(std::string_view text);

}  // namespace phoenix::pflight
