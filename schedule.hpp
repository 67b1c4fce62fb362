#pragma once
/// Who sends how many messages to whom in which step of the self-test, and what happens to the members meanwhile. Pure:
/// senders and receivers find out by themselves, from the seed.

#include "control/fault_plan.hpp"

#include <cstdint>
#include <vector>

namespace phoenix::pflight::selftest {

/// Messages from one VNode to another, all sent in one step and received in the same step.
struct Burst {
    std::uint32_t source;
    std::uint32_t destination;
    std::uint32_t messages;
};

/// In each step but the last every VNode sends bursts to VNodes drawn at random, itself among them; in the last one a
/// single message to each, behind which nothing can be left over.
class Schedule {
  public:
    static constexpr std::uint32_t vnodes = 24;

    /// The shortest that has `messages` or more. @cost  A few ns for each burst.
    Schedule(std::uint64_t seed, std::uint64_t messages) noexcept;

    [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
    [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
    [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }
    /// In an order that both ends of a channel keep. @pre step < steps()
    [[nodiscard]] std::vector<Burst> bursts(std::uint64_t step) const;

  private:
    [[nodiscard]] std::uint64_t draw(std::uint64_t step, std::uint64_t what) const noexcept;
    [[nodiscard]] std::uint32_t burst_length(std::uint64_t step, std::uint32_t round,
                                             std::uint32_t source) const noexcept;

    std::uint64_t seed_;
    std::uint64_t steps_;
    std::uint64_t messages_;
};

/// Joins, retirements, kills, moves and, with several nodes, deaths of ports: more of them the longer the run, and in an
/// order in which no node is ever to lose its last member.
[[nodiscard]] Chaos chaos_of(const Schedule& schedule, std::uint32_t members, std::uint32_t nodes);

}  // namespace phoenix::pflight::selftest
