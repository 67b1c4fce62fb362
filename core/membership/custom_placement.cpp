#include "membership/custom_placement.hpp"

#include "base/check.hpp"

#include <exception>
#include <fmt/format.h>

namespace phoenix {

tl::expected<std::vector<std::uint32_t>, PlacementFault> ask_application(const PlacementFunction& function,
                                                                         std::uint32_t vnodes,
                                                                         std::span<const PlacementMember> members) {
    PHOENIX_CHECK(!members.empty());
    const auto fault = [](std::string what) { return tl::unexpected(PlacementFault{std::move(what)}); };
    try {
        std::vector<std::uint32_t> positions = function(vnodes, members);
        if (positions.size() != vnodes) {
            return fault(
                fmt::format("places {} VNodes of {}; return one position for each VNode", positions.size(), vnodes));
        }
        for (std::uint32_t v = 0; v < vnodes; ++v) {
            if (positions[v] >= members.size()) {
                return fault(fmt::format("places VNode {} on position {} of {} members; return positions from 0 to {}",
                                         v, positions[v], members.size(), members.size() - 1));
            }
        }
        return positions;
    } catch (const std::exception& error) {
        return fault(
            fmt::format("threw '{}'; let it return a position for each VNode whoever the members are", error.what()));
    } catch (...) {
        return fault("threw something that is no std::exception; let it return a position for each VNode");
    }
}

}  // namespace phoenix
