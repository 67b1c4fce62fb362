#pragma once
/// What both sides of the ping-pong do: the sizes, how often, and what a message must hold on arrival.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pingpong {

inline constexpr int message_tag = 7;

struct Case {
    std::string_view name;
    std::size_t words;          ///< 8 bytes each.
    std::uint32_t round_trips;  ///< Of one sample.
    std::uint32_t samples;
    bool filled;  ///< Every word is written by the sender and read by the receiver, within the time.

    /// Samples before the first that counts.
    [[nodiscard]] constexpr std::uint32_t warm_up() const noexcept { return samples / 5; }
};

inline constexpr std::array<Case, 6> cases{{
    {"8B", 1, 1000, 400, false},
    {"1KiB", 128, 500, 200, false},
    {"64KiB", 8192, 40, 100, false},
    {"1MiB", 131072, 8, 40, false},
    {"64KiB-filled", 8192, 40, 100, true},
    {"1MiB-filled", 131072, 8, 40, true},
}};

/// First and last word carry what identifies a message; with `filled` all others are written, too.
inline void write_message(std::span<std::uint64_t> words, std::uint64_t number, bool filled) noexcept {
    if (filled)
        for (std::size_t i = 0; i < words.size(); ++i) words[i] = number + i;
    words.back() = number * 3;
    words.front() = number;
}

/// Whether a message is the one that was sent.
[[nodiscard]] inline bool right_message(std::span<const std::uint64_t> words, std::uint64_t number,
                                        bool filled) noexcept {
    bool right = words.size() == 1 || words.back() == number * 3;
    right = right && (words.size() == 1 ? words[0] == number : words.front() == number);
    if (!filled) return right;
    std::uint64_t difference = 0;
    for (std::size_t i = 1; i + 1 < words.size(); ++i) difference |= words[i] ^ (number + i);
    return right && difference == 0;
}

}  // namespace pingpong
