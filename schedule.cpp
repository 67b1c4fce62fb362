#include "pflight/selftest/schedule.hpp"

#include "pflight/node_shares.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

namespace phoenix::pflight::selftest {

namespace {

constexpr std::uint32_t rounds = 4;  // bursts that a VNode sends in a step
// Long enough for a planted fault in the middle of one, short enough for many partners.
constexpr std::uint32_t burst_min = 4;
constexpr std::uint32_t burst_max = 60;
constexpr std::uint64_t closing_messages = std::uint64_t{Schedule::vnodes} * Schedule::vnodes;
constexpr std::uint64_t draws_per_step = std::uint64_t{1} << 16;
constexpr std::uint64_t seed_of_chaos = 0x43484153;  // apart from what is drawn for messages
constexpr std::uint64_t chaos_tries = 10'000;

// Whether each node, as its faults come due, has two members or more before it is to lose one.
bool leaves_somebody(std::span<const std::vector<PlannedFault>> plans, std::span<const std::uint32_t> shares) {
    for (std::size_t node = 0; node < plans.size(); ++node) {
        std::uint32_t members = shares[node];
        for (const PlannedFault& fault : plans[node]) {
            if (fault.kind == FaultKind::join) members += fault.count;
            if (fault.kind != FaultKind::kill && fault.kind != FaultKind::retire) continue;
            if (members < 2) return false;
            --members;
        }
    }
    return true;
}

std::uint32_t scaled(std::uint64_t steps, std::uint64_t steps_for_one, std::uint64_t most) {
    return static_cast<std::uint32_t>(std::clamp(steps / steps_for_one, std::uint64_t{1}, most));
}

}  // namespace

Schedule::Schedule(std::uint64_t seed, std::uint64_t messages) noexcept
    : seed_(seed), steps_(1), messages_(closing_messages) {
    // One step before the last at least.
    do {
        for (std::uint32_t round = 0; round < rounds; ++round)
            for (std::uint32_t source = 0; source < vnodes; ++source)
                messages_ += burst_length(steps_ - 1, round, source);
        ++steps_;
    } while (messages_ < messages);
}

std::uint64_t Schedule::draw(std::uint64_t step, std::uint64_t what) const noexcept {
    return random_value(seed_, step * draws_per_step + what);
}

std::uint32_t Schedule::burst_length(std::uint64_t step, std::uint32_t round, std::uint32_t source) const noexcept {
    const std::uint64_t pick = draw(step, std::uint64_t{round} * vnodes + source);
    return burst_min + static_cast<std::uint32_t>(pick % (burst_max - burst_min + 1));
}

std::vector<Burst> Schedule::bursts(std::uint64_t step) const {
    std::vector<Burst> all;
    if (step + 1 == steps_) {
        for (std::uint32_t source = 0; source < vnodes; ++source)
            for (std::uint32_t destination = 0; destination < vnodes; ++destination)
                all.push_back({source, destination, 1});
        return all;
    }
    constexpr std::uint64_t shuffles = std::uint64_t{rounds} * vnodes;  // behind the lengths
    for (std::uint32_t round = 0; round < rounds; ++round) {
        // A permutation: every VNode receives as many bursts as it sends.
        std::array<std::uint32_t, vnodes> partner{};
        std::iota(partner.begin(), partner.end(), 0U);
        for (std::uint32_t left = vnodes; left > 1; --left) {
            const std::uint64_t pick = draw(step, shuffles + std::uint64_t{round} * vnodes + left - 1) % left;
            std::swap(partner[left - 1], partner[pick]);
        }
        for (std::uint32_t source = 0; source < vnodes; ++source)
            all.push_back({source, partner[source], burst_length(step, round, source)});
    }
    return all;
}

Chaos chaos_of(const Schedule& schedule, std::uint32_t members, std::uint32_t nodes) {
    const std::uint64_t steps = schedule.steps();
    Chaos chaos;
    chaos.kills = scaled(steps, 100, 12);
    chaos.retires = scaled(steps, 120, 10);
    chaos.joins = chaos.kills + chaos.retires + 1;
    chaos.moves = scaled(steps, 2, 200);
    chaos.ports = nodes > 1 ? scaled(steps, 300, 4) : 0;
    const std::vector<std::uint32_t> shares = member_shares(members, nodes);
    for (std::uint64_t attempt = 0; attempt < chaos_tries; ++attempt) {
        chaos.seed = random_value(schedule.seed() ^ seed_of_chaos, attempt);
        if (nodes == 1) {
            const std::array plans{chaos_faults(chaos, 0)};
            if (leaves_somebody(plans, shares)) break;
        } else {
            const auto plans = faults_of_nodes({}, chaos, shares, false);
            if (plans && leaves_somebody(*plans, shares)) break;
        }
    }
    return chaos;
}

}  // namespace phoenix::pflight::selftest
