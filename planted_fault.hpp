#pragma once
/// Wrong deeds of a sender of the self-test, to show that they are found. For tests only.

#include <cstdint>
#include <optional>
#include <string_view>

namespace phoenix::pflight::selftest {

enum class PlantedFault : std::uint8_t { none, drop, duplicate, swap, flip };

/// `none`, `drop`, `duplicate`, `swap` or `flip`.
[[nodiscard]] std::optional<PlantedFault> planted_fault(std::string_view name) noexcept;

}  // namespace phoenix::pflight::selftest
