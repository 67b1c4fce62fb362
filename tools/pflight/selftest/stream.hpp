#pragma once
/// Messages whose content says which they are: of a stream (source, destination, tag) and a sequence number, everything
/// else of the message follows. Pure.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace phoenix::pflight::selftest {

struct Stream {
    std::uint32_t source{0};
    std::uint32_t destination{0};
    std::uint32_t tag{0};
    friend bool operator==(const Stream&, const Stream&) = default;
};

inline constexpr std::size_t message_size_min = 16;     ///< Sequence and proof.
inline constexpr std::size_t message_size_max = 65536;  ///< Bytes; beyond what a log takes in its chunks.

/// Bytes of message `sequence`: most are a few, some are more than a log holds in place.
[[nodiscard]] std::size_t size_of_message(std::uint64_t seed, const Stream& stream, std::uint64_t sequence) noexcept;

/// Fills `message`, which has that size.
void write_message(std::uint64_t seed, const Stream& stream, std::uint64_t sequence,
                   std::span<std::byte> message) noexcept;

/// What a message says of itself.
struct Reading {
    std::optional<std::uint64_t> sequence;  ///< Nothing: it is of no message of this stream.
    bool whole{false};                      ///< Size and every byte are as they were written.
};
[[nodiscard]] Reading read_message(std::uint64_t seed, const Stream& stream,
                                   std::span<const std::byte> message) noexcept;

}  // namespace phoenix::pflight::selftest
