#pragma once
/// Records of a control or prompt connection, taken out of the bytes as they come.

#include "transport/wire.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace phoenix {

/// How reading from a connection went.
enum class ReadOutcome : std::uint8_t {
    filled,  ///< As much as there was room for: there may be more.
    dry,     ///< Everything there was.
    closed,  ///< The other side is done.
    broken   ///< errno says why.
};

/// Buffer between socket and records. Small frames come many to a system call.
class RecordReader {
  public:
    /// Room for one record of the largest size and then some.
    explicit RecordReader(std::size_t payload_max);

    /// Reads once from the socket.
    [[nodiscard]] ReadOutcome fill(int socket) noexcept;

    enum class Step : std::uint8_t { incomplete, complete, impossible };
    /// Whether a whole record is there; header(), head() and payload() then show it, until consume() or fill().
    [[nodiscard]] Step next() noexcept;
    void consume() noexcept;

    [[nodiscard]] const RecordHeader& header() const noexcept { return header_; }
    [[nodiscard]] std::span<const std::byte> head() const noexcept;
    [[nodiscard]] std::span<const std::byte> payload() const noexcept;

  private:
    [[nodiscard]] std::size_t record_size() const noexcept;

    std::size_t payload_max_;
    std::size_t capacity_;
    std::unique_ptr<std::byte[]> buffer_;
    std::size_t begin_{0};
    std::size_t end_{0};
    RecordHeader header_{};
};

}  // namespace phoenix
