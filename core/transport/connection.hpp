#pragma once
/// An authenticated connection of a link.

#include "base/process.hpp"
#include "transport/event_loop.hpp"
#include "transport/piece_reader.hpp"
#include "transport/record_reader.hpp"
#include "transport/write_queue.hpp"

#include <cstdint>
#include <optional>

namespace phoenix {

class Link;

inline constexpr std::uint32_t control_stream = ~0U;  ///< In place of a stream's number.

/// Socket, what is being written to it, and a reader of its kind. What it carries is the link's business.
class Connection final : public EventSource {
  public:
    /// @param stream  control_stream, 0 for the prompt one, 1 and up for bulk.
    Connection(EventLoop& loop, Link& link, std::uint32_t stream, FileDescriptor socket);
    ~Connection() override { close(); }

    void on_ready(std::uint32_t events) override;

    /// Writes what is queued, and asks for notice when the kernel takes more.
    [[nodiscard]] WriteQueue::Outcome write() noexcept;
    void want_read(bool wanted) noexcept;
    /// Until so many bytes are there, or as many as are worth waiting for, nothing need be reported.
    void expect(std::size_t bytes) noexcept;
    /// Idempotent; the object stays until the loop buries it.
    void close() noexcept;

    [[nodiscard]] bool open() const noexcept { return socket_.valid(); }
    [[nodiscard]] bool blocked() const noexcept { return wants_write_; }
    [[nodiscard]] bool reading() const noexcept { return wants_read_; }
    [[nodiscard]] std::uint32_t stream() const noexcept { return stream_; }
    [[nodiscard]] int socket() const noexcept { return socket_.get(); }

    WriteQueue queue;
    std::optional<RecordReader> records;  ///< Control and prompt.
    std::optional<PieceReader> pieces;    ///< Bulk.

  private:
    void update() noexcept;

    EventLoop& loop_;
    Link& link_;
    std::uint32_t stream_;
    FileDescriptor socket_;
    std::size_t expected_{1};
    bool wants_write_{false};
    bool wants_read_{true};
};

}  // namespace phoenix
