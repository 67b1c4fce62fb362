#include "transport/bulk_inbox.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace phoenix {

namespace {

// Frames under way at once beyond the one that is next: an honest sender has a few, the kernel's buffers full.
constexpr std::uint64_t arriving_max = 1U << 20;

}  // namespace

tl::expected<std::byte*, std::string_view> BulkInbox::begin(NodeId from, const PieceHeader& piece,
                                                            TransportEvents& events) {
    if (piece.head_size > frame_head_max || piece.size > frame_size_max || piece.length > piece_payload_max ||
        piece.offset > piece.size || piece.length > piece.size - piece.offset)
        return tl::unexpected(std::string_view{"a piece of a frame has impossible sizes"});
    if (piece.frame < next_ || piece.frame > next_ + arriving_max)
        return tl::unexpected(std::string_view{"a piece belongs to no frame that can be under way"});
    const auto [place, fresh] = arriving_.try_emplace(piece.frame);
    Arriving& arriving = place->second;
    if (fresh) {
        arriving.type = piece.type;
        arriving.head_size = piece.head_size;
        std::copy_n(piece.head.begin(), piece.head_size, arriving.head.begin());
        arriving.size = piece.size;
        const Landing landing = events.place(from, arriving.incoming());
        // The handler may have ended the link, and with it this table.
        if (!arriving_.contains(piece.frame)) {
            if (landing.address() != nullptr) events.withdrawn(from, landing.address());
            return nullptr;
        }
        arriving.placed = landing.kind() != Landing::Kind::later;
        arriving.place = landing.address();
        if (arriving.place == nullptr && !make_own(arriving))
            return tl::unexpected(std::string_view{"there is no memory for a frame"});
    }
    if (piece.size != arriving.size || piece.length > arriving.size - arriving.received || arriving.complete())
        return tl::unexpected(std::string_view{"the pieces of a frame contradict each other"});
    if (piece.length == 0) return nullptr;
    return (arriving.place != nullptr ? arriving.place : arriving.own.get()) + piece.offset;
}

void BulkInbox::complete(const PieceHeader& piece) noexcept {
    const auto found = arriving_.find(piece.frame);
    if (found == arriving_.end()) return;
    found->second.received += piece.length;
    ++found->second.pieces;
}

void BulkInbox::withdraw(NodeId from, TransportEvents& events) {
    const auto arriving = std::exchange(arriving_, {});
    next_ = 1;
    standing_ = false;
    for (const auto& [number, frame] : arriving)
        if (frame.place != nullptr) events.withdrawn(from, frame.place);
}

bool BulkInbox::make_own(Arriving& arriving) noexcept {
    if (arriving.size == 0) return true;
    arriving.own.reset(new (std::nothrow) std::byte[arriving.size]);
    return arriving.own != nullptr;
}

BulkInbox::Arriving* BulkInbox::next_complete() noexcept {
    const auto found = arriving_.find(next_);
    return found == arriving_.end() || !found->second.complete() ? nullptr : &found->second;
}

bool BulkInbox::place_late(NodeId from, Arriving& arriving, TransportEvents& events) {
    const Landing landing = events.place(from, arriving.incoming());
    if (!arriving_.contains(next_)) {
        if (landing.address() != nullptr) events.withdrawn(from, landing.address());
        return false;
    }
    standing_ = landing.kind() == Landing::Kind::later;
    if (standing_) return false;
    arriving.placed = true;
    arriving.place = landing.address();
    if (arriving.place != nullptr && arriving.size > 0) std::memcpy(arriving.place, arriving.own.get(), arriving.size);
    return true;
}

}  // namespace phoenix
