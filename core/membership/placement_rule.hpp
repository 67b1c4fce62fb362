#pragma once
/// The rule by which a domain's VNodes are placed, at the first time, after deaths, and when members come and drain.
/// Chosen per domain; all deciding members see the same rule.

#include "membership/balance.hpp"
#include "membership/custom_placement.hpp"
#include "membership/placement.hpp"
#include "memory/control_segment.hpp"

#include <phoenix/placement.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix {

struct PlacementRule {
    PlacementKind kind{PlacementKind::block};
    std::uint32_t ring_tokens{};          ///< Of a ring.
    const PlacementFunction* function{};  ///< Of a custom placement; null: this process does not have it yet.

    /// False: this process has not come so far in its program that it could tell where VNodes belong.
    [[nodiscard]] bool known() const noexcept { return kind != PlacementKind::custom || function != nullptr; }
    /// Form in DomainHeader::placement: tokens 24 bits (high), kind 8 bits (low).
    [[nodiscard]] std::uint32_t word() const noexcept { return ring_tokens << 8U | static_cast<std::uint32_t>(kind); }
    [[nodiscard]] static PlacementRule of_word(std::uint32_t word) noexcept {
        return {static_cast<PlacementKind>(word & 0xFFU), word >> 8U, nullptr};
    }
};

/// "block", "ring:128", "topology", "custom".
[[nodiscard]] std::string text_of(const PlacementRule& rule);
/// What `pflight run --placement` takes: block, ring, ring:TOKENS, topology. Nothing of a custom one, which needs code.
/// @error invalid_argument  A sentence without the option's name, which goes before it.
[[nodiscard]] tl::expected<PlacementRule, Failure> parse_placement(std::string_view text);
/// Why `placement` cannot be: what is said after "its placement"; empty if it can be.
[[nodiscard]] std::string fault_of(const Placement& placement);

/// VNodes of a domain that are to be given away.
struct PlacementTask {
    std::uint32_t vnodes{};              ///< Of the domain.
    std::span<const VNodeId> orphans{};  ///< Ascending.
    /// By VNode: Adopter::numa of who owns it, numa_nobody if nobody does. Read for `topology` only.
    std::span<const std::uint32_t> numa_of{};
    std::span<const Adopter> adopters{};   ///< Who may get them, oldest first; not empty.
    std::span<const Adopter> everybody{};  ///< And those who will take part, but cannot go on with these at once.
    std::size_t count{};                   ///< Owners that are wanted now, of the first orphans; the rest comes later.
};
/// Owners of the first orphans, each one of the adopters. A ring and a custom placement give what belongs to one of
/// `everybody` who is no adopter to the adopter it would belong to without the others. A rule that is not known places
/// as block.
[[nodiscard]] tl::expected<std::vector<MemberSlot>, PlacementFault> place(const PlacementRule& rule,
                                                                          const PlacementTask& task);

/// Which VNodes move so that all are where the rule wants them; those whose owner is not among `members` are left
/// alone, draining members end with nothing. Once it has been carried out the plan is empty. A rule that is not known
/// waits.
/// @cost block and ring O(V), topology O(NUMA domains x V log V), besides the application's function.
[[nodiscard]] tl::expected<BalancePlan, PlacementFault> plan_moves(const PlacementRule& rule,
                                                                   std::span<const MemberSlot> owners,
                                                                   std::span<const BalanceMember> members);

}  // namespace phoenix
