#pragma once
/// Pieces of bulk frames, read from a connection straight to where they belong.

#include "transport/record_reader.hpp"
#include "transport/wire.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace phoenix {

/// Header, then payload, then the next header: the last two with one system call.
class PieceReader {
  public:
    enum class Step : std::uint8_t {
        incomplete,  ///< fill() has to read more.
        header,      ///< A new header() is there: begin() or skip() it.
        complete     ///< The payload of header() is in its place: advance().
    };
    [[nodiscard]] Step step() const noexcept;

    [[nodiscard]] ReadOutcome fill(int socket) noexcept;

    [[nodiscard]] const PieceHeader& header() const noexcept { return header_; }
    /// The payload goes to `place`, header().length bytes.
    void begin(std::byte* place) noexcept;
    /// The header was a record of its own.
    void skip() noexcept { advance(); }
    void advance() noexcept;

  private:
    PieceHeader header_{};
    std::size_t header_size_{0};  ///< Bytes of it that are there.
    bool begun_{false};
    std::byte* place_{nullptr};
    std::size_t left_{0};
    std::array<std::byte, sizeof(PieceHeader)> ahead_{};  ///< Of the header behind the payload.
    std::size_t ahead_size_{0};
};

}  // namespace phoenix
