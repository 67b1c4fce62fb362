#pragma once
/// Integers that mean different things are different types.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace phoenix {

template <typename Tag, typename Rep>
struct StrongInteger {
    using rep = Rep;
    Rep value{};
    friend constexpr auto operator<=>(StrongInteger, StrongInteger) = default;
};

using VNodeId = StrongInteger<struct VNodeTag, std::uint32_t>;    ///< Logical address; fixed for the life of the job.
using MemberSlot = StrongInteger<struct SlotTag, std::uint32_t>;  ///< Index into the node's member table.
using NodeId = StrongInteger<struct NodeTag, std::uint32_t>;      ///< A host (or an emulated one) of the job.
using ViewNumber = StrongInteger<struct ViewTag, std::uint64_t>;  ///< Grows by one with every membership change.
using Incarnation = StrongInteger<struct IncarnationTag, std::uint32_t>;  ///< Grows with each reuse of a slot.
using Generation = StrongInteger<struct GenerationTag, std::uint32_t>;    ///< Grows with each global rollback.

}  // namespace phoenix

template <typename Tag, typename Rep>
struct std::hash<phoenix::StrongInteger<Tag, Rep>> {
    std::size_t operator()(phoenix::StrongInteger<Tag, Rep> id) const noexcept { return std::hash<Rep>{}(id.value); }
};
