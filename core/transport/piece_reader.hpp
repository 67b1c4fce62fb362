#pragma once
/// Pieces of bulk frames, read from a connection straight to where they belong.

#include "transport/record_reader.hpp"
#include "transport/wire.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <sys/uio.h>
#include <vector>

namespace phoenix {

/// Header, then payload, then the next header: the last two with one system call, whatever places the payload has.
class PieceReader {
  public:
    enum class Step : std::uint8_t {
        incomplete,  ///< fill() has to read more.
        header,      ///< A new header() is there: begin() or skip() it.
        complete     ///< The payload of header() is in its place: advance().
    };
    [[nodiscard]] Step step() const noexcept;

    [[nodiscard]] ReadOutcome fill(int socket) noexcept;

    /// Bytes to come before the next step.
    [[nodiscard]] std::size_t missing() const noexcept { return begun_ ? left_ : sizeof header_ - header_size_; }
    [[nodiscard]] const PieceHeader& header() const noexcept { return header_; }
    /// Where the payload goes, header().length bytes: the caller fills in the list, which is empty, then calls begin().
    [[nodiscard]] std::vector<iovec>& places() noexcept { return places_; }
    void begin() noexcept;
    /// The payload is complete: whether it is what was sent, as far as its sender lets us know.
    [[nodiscard]] bool sound() const noexcept;
    /// The header was a record of its own.
    void skip() noexcept { advance(); }
    void advance() noexcept;

  private:
    PieceHeader header_{};
    std::size_t header_size_{0};  ///< Bytes of it that are there.
    bool begun_{false};
    std::vector<iovec> places_;
    std::size_t place_{0};                                ///< Of these, the one that is filled at present,
    std::size_t done_{0};                                 ///< and how many bytes of it are there.
    std::size_t left_{0};                                 ///< Of the payload.
    std::array<std::byte, sizeof(PieceHeader)> ahead_{};  ///< Of the header behind the payload.
    std::size_t ahead_size_{0};
};

}  // namespace phoenix
