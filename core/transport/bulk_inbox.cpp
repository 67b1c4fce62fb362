#include "transport/bulk_inbox.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace phoenix {

namespace {

// Frames under way at once beyond the one that is next: an honest sender has a few, the kernel's buffers full.
constexpr std::uint64_t arriving_max = 1U << 20;

// The part of `places` from `offset` on.
void add_parts(std::span<const std::span<std::byte>> places, std::uint64_t offset, std::uint64_t length,
               std::vector<iovec>& parts) {
    for (const auto& place : places) {
        if (length == 0) return;
        if (offset >= place.size()) {
            offset -= place.size();
            continue;
        }
        const std::uint64_t bytes = std::min<std::uint64_t>(place.size() - offset, length);
        parts.push_back({place.data() + offset, bytes});
        length -= bytes;
        offset = 0;
    }
}

}  // namespace

tl::expected<void, std::string_view> BulkInbox::begin(NodeId from, const PieceHeader& piece, TransportEvents& events,
                                                      std::vector<iovec>& parts) {
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
            return {};
        }
        arriving.placed = landing.kind() != Landing::Kind::later;
        arriving.address = landing.address();
        arriving.places = landing.places(arriving.size);
        if (arriving.address == nullptr && !make_own(arriving))
            return tl::unexpected(std::string_view{"there is no memory for a frame"});
    }
    if (piece.size != arriving.size || piece.length > arriving.size - arriving.received || arriving.complete())
        return tl::unexpected(std::string_view{"the pieces of a frame contradict each other"});
    add_parts(arriving.places, piece.offset, piece.length, parts);
    return {};
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
        if (frame.address != nullptr) events.withdrawn(from, frame.address);
}

bool BulkInbox::make_own(Arriving& arriving) noexcept {
    if (arriving.size == 0) return true;
    arriving.own.reset(new (std::nothrow) std::byte[arriving.size]);
    if (arriving.own == nullptr) return false;
    arriving.places = {std::span{arriving.own.get(), arriving.size}};
    return true;
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
    arriving.address = landing.address();
    if (arriving.address == nullptr) return true;
    static_cast<void>(landing.fill({arriving.own.get(), arriving.size}));
    arriving.places = landing.places(arriving.size);
    return true;
}

}  // namespace phoenix
