#pragma once
/// What can carry large payloads beside a transport: MPI (mpi/), or whatever else moves bytes between two processes
/// into memory that was named beforehand, such as UCX. It may vanish at any moment, or stand still for ever, and
/// nothing is lost by it: see transport/carried_transport.hpp.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace phoenix {

/// Where a process is found by a carrier.
struct CarrierPlace {
    std::uint64_t world{};  ///< Places of different worlds cannot reach each other. Never 0.
    std::uint32_t rank{};
    friend bool operator==(const CarrierPlace&, const CarrierPlace&) = default;
};

/// What has become of a transfer.
enum class TransferEnd : std::uint8_t {
    complete,
    cancelled,  ///< Nothing has been written to its memory since cancel(), and nothing will be.
    failed      ///< As `cancelled`, but nobody asked for it.
};

struct EndedTransfer {
    std::uint64_t id{};
    TransferEnd end{};
};

using ReadPieces = std::vector<std::span<const std::byte>>;
using WritePieces = std::vector<std::span<std::byte>>;

/// Moves single payloads; a transfer needs both sides, of the same tag and size. Calls return at once, whatever the
/// carrier is doing. Threads: one caller at a time.
class Carrier {
  public:
    Carrier() = default;
    Carrier(const Carrier&) = delete;
    Carrier& operator=(const Carrier&) = delete;
    virtual ~Carrier() = default;

    /// None: it is not up yet. Set once, and stays.
    [[nodiscard]] virtual std::optional<CarrierPlace> place() const noexcept = 0;
    /// How long it has been asked for something without having looked at it: it is stuck in a call, not just waiting
    /// for a peer. 0 if nothing is asked of it.
    [[nodiscard]] virtual std::uint64_t stuck_ns() const noexcept = 0;

    /// Transfers with rank `rank` of this world. `id` is the caller's and comes back when the transfer has ended; until
    /// then the memory stays valid and, of a receive, is untouched by others. One that never ends keeps it for ever.
    virtual void receive(std::uint64_t id, std::uint32_t rank, std::uint32_t tag, WritePieces pieces) = 0;
    virtual void send(std::uint64_t id, std::uint32_t rank, std::uint32_t tag, ReadPieces pieces) = 0;
    /// Ends the transfer if that is possible; it may be completed all the same, or never end.
    virtual void cancel(std::uint64_t id) = 0;
    /// A transfer that has ended since.
    [[nodiscard]] virtual std::optional<EndedTransfer> next_ended() = 0;

    /// For poll(2): readable when next_ended() has one, or place() has come. -1: look when you like.
    [[nodiscard]] virtual int descriptor() const noexcept = 0;
};

/// Largest tag: less than what implementations of MPI offer. No tag is used twice, so that a transfer that was given up
/// cannot be taken for another.
inline constexpr std::uint32_t carrier_tag_max = 1U << 27;

}  // namespace phoenix
