#include "membership/placement_rule.hpp"

#include "membership/numa_placement.hpp"
#include "membership/ring.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

namespace phoenix {

namespace {

using Owners = std::vector<MemberSlot>;

template <typename Member>
std::vector<RingMember> ring_members(std::span<const Member> members) {
    std::vector<RingMember> on_ring;
    for (const Member& member : members) on_ring.push_back({member.slot, member.seniority});
    return on_ring;
}

template <typename Member>
std::vector<PlacementMember> shown_members(std::span<const Member> members) {
    std::vector<PlacementMember> shown;
    for (const Member& member : members) {
        const auto numa = member.numa == 0 ? std::nullopt : std::optional<std::uint32_t>{member.numa - 1};
        shown.push_back({member.slot.value, member.seniority, numa});
    }
    return shown;
}

Owners place_in_runs(const PlacementTask& task) {
    RunPlacement runs{task.orphans.size(), task.adopters};
    Owners owners(task.count);
    for (MemberSlot& owner : owners) owner = runs.next();
    return owners;
}

Owners place_on_ring(const PlacementRule& rule, const PlacementTask& task) {
    const Ring ring{rule.ring_tokens, ring_members(task.adopters)};
    Owners owners;
    owners.reserve(task.count);
    for (const VNodeId orphan : task.orphans.first(task.count)) owners.push_back(ring.owner_of(orphan));
    return owners;
}

tl::expected<Owners, PlacementFault> place_as_application_says(const PlacementRule& rule, const PlacementTask& task) {
    const auto wanted = ask_application(*rule.function, task.vnodes, shown_members(task.everybody));
    if (!wanted) return tl::unexpected(wanted.error());
    std::vector<std::uint32_t> instead;  // asked for only if it is needed
    Owners owners;
    owners.reserve(task.count);
    for (const VNodeId orphan : task.orphans.first(task.count)) {
        const MemberSlot slot = task.everybody[(*wanted)[orphan.value]].slot;
        const bool adopts = std::any_of(task.adopters.begin(), task.adopters.end(),
                                        [&](const Adopter& adopter) { return adopter.slot == slot; });
        if (!adopts && instead.empty()) {
            auto among_adopters = ask_application(*rule.function, task.vnodes, shown_members(task.adopters));
            if (!among_adopters) return tl::unexpected(std::move(among_adopters.error()));
            instead = std::move(*among_adopters);
        }
        owners.push_back(adopts ? slot : task.adopters[instead[orphan.value]].slot);
    }
    return owners;
}

/// Every VNode to where it is wanted.
BalancePlan plan_towards(std::span<const MemberSlot> owners, std::span<const MemberSlot> wanted,
                         std::span<const BalanceMember> members) {
    const BalanceIndex index{members};
    BalancePlan plan;
    for (std::size_t v = 0; v < owners.size(); ++v) {
        if (index.of(owners[v]) == BalanceIndex::none || owners[v] == wanted[v]) continue;
        if (members[index.of(wanted[v])].takes) {
            plan.moves.push_back({VNodeId{static_cast<std::uint32_t>(v)}, wanted[v]});
        } else {
            plan.waits = true;
        }
    }
    return plan;
}

Owners wanted_by_ring(const PlacementRule& rule, std::size_t vnodes, std::span<const BalanceMember> keepers) {
    const Ring ring{rule.ring_tokens, ring_members(keepers)};
    Owners wanted(vnodes);
    for (std::size_t v = 0; v < vnodes; ++v) wanted[v] = ring.owner_of(VNodeId{static_cast<std::uint32_t>(v)});
    return wanted;
}

tl::expected<Owners, PlacementFault> wanted_by_application(const PlacementRule& rule, std::size_t vnodes,
                                                           std::span<const BalanceMember> keepers) {
    const auto positions = ask_application(*rule.function, static_cast<std::uint32_t>(vnodes), shown_members(keepers));
    if (!positions) return tl::unexpected(positions.error());
    Owners wanted(vnodes);
    for (std::size_t v = 0; v < vnodes; ++v) wanted[v] = keepers[(*positions)[v]].slot;
    return wanted;
}

}  // namespace

std::string text_of(const PlacementRule& rule) {
    switch (rule.kind) {
        case PlacementKind::block: return "block";
        case PlacementKind::ring: return fmt::format("ring:{}", rule.ring_tokens);
        case PlacementKind::topology: return "topology";
        case PlacementKind::custom: return "custom";
    }
    return "?";
}

tl::expected<PlacementRule, Failure> parse_placement(std::string_view text) {
    const auto wrong = [&](std::string_view why) {
        return tl::unexpected(Failure{Errc::invalid_argument, fmt::format("{}: {}.", text, why)});
    };
    const std::size_t colon = text.find(':');
    const std::string_view name = text.substr(0, colon);
    const std::string_view tokens = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
    const bool is_ring = name == "ring";
    if (!is_ring && name != "block" && name != "topology") {
        return wrong(name == "custom"
                         ? "an application gives its own placement in DomainOptions::placement; write block, "
                           "ring or topology here, or nothing"
                         : "no placement has this name; write block, ring, ring:64 or topology");
    }
    if (!is_ring && colon != std::string_view::npos) {
        return wrong(fmt::format("only a ring has tokens; write {} or ring{}", name, text.substr(colon)));
    }
    if (!is_ring) return PlacementRule{name == "block" ? PlacementKind::block : PlacementKind::topology};
    PlacementRule rule{PlacementKind::ring, ring_tokens_default};
    if (colon == std::string_view::npos) return rule;
    const auto [end, error] = std::from_chars(tokens.data(), tokens.data() + tokens.size(), rule.ring_tokens);
    const bool whole = error == std::errc{} && end == tokens.data() + tokens.size();
    if (!whole || rule.ring_tokens == 0 || rule.ring_tokens > ring_tokens_max) {
        return wrong(fmt::format("a ring has 1 to {} tokens per member; write for example ring:{}", ring_tokens_max,
                                 ring_tokens_default));
    }
    return rule;
}

std::string fault_of(const Placement& placement) {
    if (placement.kind > PlacementKind::custom)
        return "is of no kind that exists; use Placement::block() or another one";
    const bool is_ring = placement.kind == PlacementKind::ring;
    if (is_ring && (placement.ring_tokens == 0 || placement.ring_tokens > ring_tokens_max)) {
        return fmt::format("has {} tokens per member; a ring has 1 to {}", placement.ring_tokens, ring_tokens_max);
    }
    if (!is_ring && placement.ring_tokens != 0) return "has tokens, which only a ring has; use Placement::ring(tokens)";
    const bool is_custom = placement.kind == PlacementKind::custom;
    if (is_custom && !placement.function) return "is custom and has no function; use Placement::custom(function)";
    if (!is_custom && placement.function)
        return "has a function, which only a custom one has; use Placement::custom(function)";
    return {};
}

tl::expected<Owners, PlacementFault> place(const PlacementRule& rule, const PlacementTask& task) {
    switch (rule.kind) {
        case PlacementKind::ring: return place_on_ring(rule, task);
        case PlacementKind::topology: return place_by_numa(task.orphans, task.numa_of, task.adopters);
        case PlacementKind::custom:
            if (rule.known()) return place_as_application_says(rule, task);
            break;
        case PlacementKind::block: break;
    }
    return place_in_runs(task);
}

tl::expected<BalancePlan, PlacementFault> plan_moves(const PlacementRule& rule, std::span<const MemberSlot> owners,
                                                     std::span<const BalanceMember> members) {
    if (rule.kind == PlacementKind::block) return plan_balance(owners, members);
    if (rule.kind == PlacementKind::topology) return plan_balance_by_numa(owners, members);
    std::vector<BalanceMember> keepers;
    std::copy_if(members.begin(), members.end(), std::back_inserter(keepers),
                 [](const BalanceMember& member) { return member.keeps; });
    BalancePlan nothing;
    nothing.waits = !rule.known();
    if (keepers.empty() || !rule.known()) return nothing;
    if (rule.kind == PlacementKind::ring) {
        return plan_towards(owners, wanted_by_ring(rule, owners.size(), keepers), members);
    }
    const auto wanted = wanted_by_application(rule, owners.size(), keepers);
    if (!wanted) return tl::unexpected(wanted.error());
    return plan_towards(owners, *wanted, members);
}

}  // namespace phoenix
