#pragma once
/// Who sends how much to whom in which step: random by a seed, and known to both sides. Pure.

#include <cstdint>
#include <string_view>

namespace phoenix::pflight::selftest {

inline constexpr std::uint32_t tag_count = 4;    ///< Streams of a pair of VNodes; one partner for each in a step.
inline constexpr std::uint32_t burst_size = 16;  ///< Messages of a stream in a step in which it is used.

class Traffic {
  public:
    Traffic(std::uint64_t seed, std::uint32_t vnodes) noexcept : seed_(seed), vnodes_(vnodes) {}

    /// Whom VNode `source` sends to in `step` with `tag`: for each step and tag a permutation of the VNodes.
    [[nodiscard]] std::uint32_t destination_of(std::uint64_t step, std::uint32_t tag,
                                               std::uint32_t source) const noexcept;
    /// The inverse.
    [[nodiscard]] std::uint32_t source_of(std::uint64_t step, std::uint32_t tag,
                                          std::uint32_t destination) const noexcept;
    /// Tag that is received as number `turn` of the step: not in the order in which they were sent.
    [[nodiscard]] static std::uint32_t tag_of(std::uint64_t step, std::uint32_t turn) noexcept {
        return static_cast<std::uint32_t>((step + turn * 3) % tag_count);
    }
    /// Steps in which at least `messages` are sent.
    [[nodiscard]] std::uint64_t steps_for(std::uint64_t messages) const noexcept;

  private:
    struct Map {
        std::uint64_t factor;  ///< Coprime to the number of VNodes.
        std::uint64_t shift;
    };
    [[nodiscard]] Map map_of(std::uint64_t step, std::uint32_t tag) const noexcept;

    std::uint64_t seed_;
    std::uint32_t vnodes_;
};

/// Something wrong put in on purpose, to see that it is found: in one step one sender numbers a message wrong, sends
/// one twice, two in the wrong order, or one with a bit changed.
enum class Plant : std::uint8_t { none, lose, duplicate, reorder, damage };

}  // namespace phoenix::pflight::selftest
