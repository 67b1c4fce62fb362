#include "pflight/member_name.hpp"

#include "memory/layout.hpp"
#include "pflight/argument.hpp"

#include <fmt/format.h>

namespace phoenix::pflight {

std::string text_of(const MemberName& name) {
    return name.node ? fmt::format("{}.{}", *name.node, name.slot) : std::to_string(name.slot);
}

std::optional<MemberName> parse_member_name(std::string_view text) {
    MemberName name;
    if (const std::size_t point = text.find('.'); point != std::string_view::npos) {
        const auto node = whole_number(text.substr(0, point));
        if (!node || *node >= node_count_max) return std::nullopt;
        name.node = static_cast<std::uint32_t>(*node);
        text.remove_prefix(point + 1);
    }
    const auto slot = whole_number(text);
    if (!slot || *slot >= member_count_max) return std::nullopt;
    name.slot = static_cast<std::uint32_t>(*slot);
    return name;
}

}  // namespace phoenix::pflight
