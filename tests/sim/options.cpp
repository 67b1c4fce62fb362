/// What a schedule is made of, and what is counted of it.

#include "sim/world.hpp"

#include <random>

namespace phoenix::sim {

namespace {

/// VNodes in turn to the members.
const PlacementFunction dealt = [](std::uint32_t vnodes, std::span<const PlacementMember> members) {
    std::vector<std::uint32_t> positions(vnodes);
    for (std::uint32_t v = 0; v < vnodes; ++v) positions[v] = v % static_cast<std::uint32_t>(members.size());
    return positions;
};

PlacementRule drawn_placement(std::uint64_t seed) {
    switch (mix(seed, 3) % 4) {
        case 0: return {PlacementKind::ring, 1 + static_cast<std::uint32_t>(mix(seed, 4) % 8)};
        case 1: return {PlacementKind::topology};
        case 2: return {PlacementKind::custom, 0, &dealt};
        default: return {};
    }
}

}  // namespace

Options Options::drawn_from(std::uint64_t seed, Plant plant) {
    std::mt19937_64 random{mix(seed, 1)};
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    Options options;
    options.seed = seed;
    options.members = 1 + below(4);
    options.late_joiners = below(3);
    options.vnodes = 1 + below(vnode_max);
    options.kills = below(5);
    options.stops = below(3);
    options.leaves = below(3);
    options.hand_over_percent = below(2) * 25;
    options.retirements = below(3);
    options.plant = plant;
    options.placement = drawn_placement(seed);
    return options;
}

Options Options::coming_and_going(std::uint64_t seed, Plant plant) {
    std::mt19937_64 random{mix(seed, 2)};
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    Options options;
    options.seed = seed;
    options.members = 2 + below(2);
    options.slots = options.members + 1 + below(2);
    options.late_joiners = 1;
    options.vnodes = 2 + below(4);
    options.kills = below(2);
    options.stops = below(3);
    options.leaves = 0;
    options.hand_over_percent = 20 + below(2) * 30;
    options.retirements = 0;
    options.steps = 20;
    options.come_and_go = true;
    options.plant = plant;
    options.placement = drawn_placement(seed);
    return options;
}

Statistics& Statistics::operator+=(const Statistics& other) {
    events += other.events;
    deaths += other.deaths;
    coordinator_deaths += other.coordinator_deaths;
    hung_killed += other.hung_killed;
    views += other.views;
    adoptions += other.adoptions;
    hand_overs += other.hand_overs;
    asked_moves += other.asked_moves;
    drained += other.drained;
    reactivated += other.reactivated;
    resends += other.resends;
    duplicates += other.duplicates;
    reused += other.reused;
    return *this;
}

}  // namespace phoenix::sim
