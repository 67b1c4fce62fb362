#pragma once
/// Bulk frames that are arriving: pieces come over several connections in any order, frames are delivered in theirs.

#include "transport/transport.hpp"
#include "transport/wire.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <sys/uio.h>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix {

/// The bulk lane of one link, on the receiving side.
///
/// Each segment arrives once (streams are counted, see SegmentLog), so a frame is complete when its bytes are.
class BulkInbox {
  public:
    /// Adds to `parts` where the payload of this piece goes, piece.length bytes; or a sentence: the peer sent nonsense.
    [[nodiscard]] tl::expected<void, std::string_view> begin(NodeId from, const PieceHeader& piece,
                                                             TransportEvents& events, std::vector<iovec>& parts);
    /// The piece is there in full.
    void complete(const PieceHeader& piece) noexcept;

    /// Delivers the next frame if it is complete and the handler has room for it. `going` is asked after each call of
    /// the handler: when it says no, the link has ended and nothing more is touched.
    template <typename Going>
    [[nodiscard]] bool deliver_next(NodeId from, TransportEvents& events, Going&& going);

    /// The handler has no room for the frame that is next.
    [[nodiscard]] bool standing() const noexcept { return standing_; }
    void go_on() noexcept { standing_ = false; }
    [[nodiscard]] std::uint64_t accepted() const noexcept { return next_ - 1; }

    /// Gives all placed memory back to the handler, and forgets everything.
    void withdraw(NodeId from, TransportEvents& events);

  private:
    struct Arriving {
        std::uint16_t type{};
        std::uint8_t head_size{};
        std::array<std::byte, frame_head_max> head{};
        std::uint64_t size{};
        std::uint64_t received{};
        std::uint64_t pieces{};
        bool placed{false};                        ///< The handler has said where, or that it wants to see it only.
        std::byte* address{nullptr};               ///< Of the handler's memory; nullptr if it gave none.
        std::vector<std::span<std::byte>> places;  ///< Of the payload: the handler's, or `own`.
        std::unique_ptr<std::byte[]> own;

        [[nodiscard]] Incoming incoming() const noexcept {
            return {type, Lane::bulk, size, std::span{head.data(), head_size}};
        }
        [[nodiscard]] bool complete() const noexcept { return pieces > 0 && received == size; }
        /// What frame() sees: all of it, or of a scattered one the first place.
        [[nodiscard]] std::span<const std::byte> seen() const noexcept {
            return places.empty() ? std::span<const std::byte>{address, 0} : places.front();
        }
    };
    [[nodiscard]] bool make_own(Arriving& arriving) noexcept;
    [[nodiscard]] Arriving* next_complete() noexcept;
    /// Asks again for a frame that had no place. False if there is still none.
    [[nodiscard]] bool place_late(NodeId from, Arriving& arriving, TransportEvents& events);

    std::map<std::uint64_t, Arriving> arriving_;
    std::uint64_t next_{1};
    bool standing_{false};
};

template <typename Going>
bool BulkInbox::deliver_next(NodeId from, TransportEvents& events, Going&& going) {
    Arriving* const arriving = standing_ ? nullptr : next_complete();
    if (arriving == nullptr) return false;
    if (!arriving->placed) {
        const bool placed = place_late(from, *arriving, events);
        if (!going()) return false;
        if (!placed) return false;
    }
    // Out of the table first: the handler may end the link, which withdraws what is in there.
    const Arriving frame = std::move(*arriving);
    arriving_.erase(next_++);
    events.frame(from, frame.incoming(), frame.seen());
    return going();
}

}  // namespace phoenix
