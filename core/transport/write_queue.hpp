#pragma once
/// What is being written to one connection: headers of our own, payload from where it lies.

#include "transport/outbox.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace phoenix {

/// A short ring of records and pieces. Each stays until its last byte is with the kernel; meanwhile its frame says so.
class WriteQueue {
  public:
    WriteQueue() = default;
    WriteQueue(const WriteQueue&) = delete;
    WriteQueue& operator=(const WriteQueue&) = delete;
    ~WriteQueue() { clear(); }

    enum class Outcome : std::uint8_t {
        written,  ///< Everything.
        blocked,  ///< The kernel takes no more at present.
        broken    ///< errno says why.
    };

    /// Holds enough for one system call: write() before pushing more.
    [[nodiscard]] bool full() const noexcept { return count_ == items_.size() || bytes_ >= enough_bytes; }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
    [[nodiscard]] bool has_room() const noexcept { return count_ < items_.size(); }

    /// @param header   At most 128 bytes, copied.
    /// @param segment  Its bytes follow the header; none for a record of our own.
    void push(std::span<const std::byte> header, const Segment& segment = {}) noexcept;
    [[nodiscard]] Outcome write(int socket) noexcept;
    /// Forgets everything: the connection is gone.
    void clear() noexcept;

  private:
    static constexpr std::size_t parts_max = 128;
    static constexpr std::uint64_t enough_bytes = 256U << 10;

    struct Item {
        std::array<std::byte, 128> header;
        std::uint32_t header_size;
        Segment segment;
        std::uint64_t done;  ///< Bytes of header and segment that are written.
        [[nodiscard]] std::uint64_t left() const noexcept { return header_size + segment.length - done; }
    };
    [[nodiscard]] std::size_t gather(std::span<iovec> parts) noexcept;
    void advance(std::uint64_t written) noexcept;
    void pop() noexcept;

    std::array<Item, 32> items_;
    std::size_t begin_{0};
    std::size_t count_{0};
    std::uint64_t bytes_{0};
};

}  // namespace phoenix
