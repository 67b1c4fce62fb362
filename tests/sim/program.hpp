#pragma once
/// The program that the simulated VNodes run, and what it computes when nothing disturbs it.

#include <cstdint>
#include <vector>

namespace phoenix::sim {

inline constexpr std::uint32_t vnode_max = 6;
inline constexpr std::uint32_t step_count = 5;

enum class Tag : std::uint8_t { early, late, far };

/// One operation of a step. Sending mixes the state into the payload; receiving mixes the payload into the state.
struct Operation {
    bool sends{};
    std::uint32_t partner{};
    Tag tag{};
};

constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
    std::uint64_t z = a + 0x9E3779B97F4A7C15ULL * (b + 1);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31U);
}

/// A message that a step must get: which sequence number of the channel, and what it must contain.
struct Expected {
    std::uint32_t sequence{};
    std::uint64_t payload{};
};

/// VNode v sends `late` then `early` to its right neighbour; `early` is received in the same step and `late` in the
/// next, so tags of one channel are consumed out of order. A third message, whose content depends on what the step
/// received, goes across the domain.
class Program {
  public:
    explicit Program(std::uint32_t vnode_count, std::uint32_t steps = step_count);

    [[nodiscard]] std::uint32_t vnode_count() const noexcept { return vnode_count_; }
    [[nodiscard]] const std::vector<Operation>& operations(std::uint32_t vnode, std::uint32_t step) const {
        return operations_[vnode][step];
    }
    [[nodiscard]] static std::uint64_t initial_state(std::uint32_t vnode) noexcept { return mix(vnode, 77); }
    [[nodiscard]] static std::uint64_t payload(std::uint64_t state, std::uint32_t sequence) noexcept {
        return mix(state, sequence);
    }
    /// What operation `index` (a receive) of the step gets in an undisturbed run.
    [[nodiscard]] const Expected& expected(std::uint32_t vnode, std::uint32_t step, std::size_t index) const {
        return expected_[vnode][step][index];
    }
    [[nodiscard]] std::uint64_t final_state(std::uint32_t vnode) const { return final_[vnode]; }

  private:
    [[nodiscard]] std::vector<Operation> operations_of(std::uint32_t vnode, std::uint32_t step) const;
    void compute();

    std::uint32_t vnode_count_;
    std::uint32_t steps_;
    std::vector<std::vector<std::vector<Operation>>> operations_;
    std::vector<std::vector<std::vector<Expected>>> expected_;  ///< [vnode][step][operation]
    std::vector<std::uint64_t> final_;
};

}  // namespace phoenix::sim
