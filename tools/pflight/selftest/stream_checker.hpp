#pragma once
/// Compares what arrives with what was sent: how many messages of a stream were lost, came twice, out of order or
/// damaged. Pure; its state is plain data, so that it can be committed and repeated with the VNode that checks.

#include "pflight/selftest/stream.hpp"

#include <cstdint>

namespace phoenix::pflight::selftest {

enum class Fault : std::uint32_t { none, lost, duplicated, reordered, damaged };

/// What has been seen of all streams together.
struct Totals {
    std::uint64_t messages{0};
    std::uint64_t bytes{0};
    std::uint64_t lost{0};
    std::uint64_t duplicated{0};
    std::uint64_t reordered{0};
    std::uint64_t damaged{0};
    std::uint64_t first_sequence{0};  ///< Of the first message that was wrong, if `first_fault` says so.
    Stream first_stream;
    Fault first_fault{Fault::none};

    [[nodiscard]] bool good() const noexcept { return lost + duplicated + reordered + damaged == 0; }
    /// Sums; the first fault is that of this, else that of `other`.
    void add(const Totals& other) noexcept;
};

/// What has been seen of one stream.
struct StreamState {
    std::uint64_t expected{0};  ///< The next sequence number.
    std::uint64_t seen{0};      ///< Bit i: message expected - 1 - i has come; those before the last 64 have.
};

/// Takes the next message that came by `stream`. A message behind a gap makes those before it lost; one that comes
/// after all is reordered instead. What says of itself to be no message of the stream is damaged, and taken for the
/// expected one.
void take_message(std::uint64_t seed, const Stream& stream, std::span<const std::byte> message, StreamState& state,
                  Totals& totals) noexcept;

}  // namespace phoenix::pflight::selftest
