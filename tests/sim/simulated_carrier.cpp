#include "sim/simulated_carrier.hpp"

#include <algorithm>

namespace phoenix::sim {

std::unique_ptr<SimulatedCarrier> CarrierWorld::start() {
    auto carrier = std::make_unique<SimulatedCarrier>(*this, ranks_++);
    carriers_[carrier->rank()] = carrier.get();
    return carrier;
}

bool CarrierWorld::step() {
    // Everything that could move: a receive of a carrier that is at work.
    std::vector<std::pair<SimulatedCarrier*, Side>> moving;
    for (const auto& [rank, carrier] : carriers_) {
        if (carrier->stuck) continue;
        for (const auto& [side, receive] : carrier->receives_) {
            const auto sender = carriers_.find(side.from);
            const bool there = sender != carriers_.end() && !sender->second->stuck &&
                               sender->second->sends_.count(side) != 0 &&
                               silent_.count(std::minmax(side.from, side.to)) == 0;
            // Of a transfer that has begun nothing is heard any more once it stands still.
            if (there || (receive.second.cancelled && !receive.second.begun)) moving.emplace_back(carrier, side);
        }
    }
    if (moving.empty()) return false;
    const auto [receiver, side] = moving[random_() % moving.size()];
    const auto found = receiver->receives_.find(side);
    auto& [id, receive] = found->second;
    if (receive.cancelled && !receive.begun) {
        receiver->ended_.push_back({id, TransferEnd::cancelled});
        ++cancelled;
        receiver->receives_.erase(found);
        return true;
    }
    SimulatedCarrier& sender = *carriers_.at(side.from);
    const auto sent = sender.sends_.find(side);
    const std::vector<std::byte>& bytes = sent->second.second.bytes;
    if (receive.cancelled) ++written_after_cancel;
    receive.begun = true;
    const bool last = random_() % 20 == 0;
    std::size_t at = 0;
    for (const auto& piece : receive.pieces) {
        const std::size_t size = std::min(piece.size(), bytes.size() - at);
        if (on_write) on_write(side.to, piece.data());
        // The first half for some time.
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), last ? size : size / 2, piece.begin());
        at += size;
    }
    if (!last) return true;
    if (damage_one_in != 0 && random_() % damage_one_in == 0) {
        const auto& piece = receive.pieces[random_() % receive.pieces.size()];
        piece[random_() % piece.size()] ^= std::byte{1};
    }
    ++completed;
    const bool fails = fail_one_in != 0 && random_() % fail_one_in == 0;
    receiver->ended_.push_back({id, fails ? TransferEnd::failed : TransferEnd::complete});
    receiver->receives_.erase(found);
    sender.ended_.push_back({sent->second.first, TransferEnd::complete});
    sender.sends_.erase(sent);
    return true;
}

}  // namespace phoenix::sim
