/// Payloads that are read into several places.

#include "transport/bulk_inbox.hpp"
#include "transport/piece_reader.hpp"
#include "unit/transport/hubs.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <random>
#include <sys/socket.h>

namespace phoenix {
namespace {

using namespace testing_tools;

constexpr NodeId peer{2};

PieceHeader piece_of(std::uint64_t size, std::uint64_t offset, std::uint64_t length) {
    PieceHeader piece{};
    piece.kind = WireKind::piece;
    piece.frame = 1;
    piece.size = size;
    piece.offset = offset;
    piece.length = static_cast<std::uint32_t>(length);
    return piece;
}

/// Memory with a gap behind each place, which nobody may write to.
struct Places {
    explicit Places(const std::vector<std::size_t>& sizes)
        : memory(std::accumulate(sizes.begin(), sizes.end(), sizes.size()), std::byte{0xAA}) {
        std::size_t at = 0;
        for (const std::size_t size : sizes) {
            list.push_back(std::span{memory}.subspan(at, size));
            at += size + 1;
        }
    }
    [[nodiscard]] std::vector<std::byte> contents() const {
        std::vector<std::byte> all;
        for (const auto& place : list) {
            all.insert(all.end(), place.begin(), place.end());
            EXPECT_EQ(*(place.data() + place.size()), std::byte{0xAA});
        }
        return all;
    }
    std::vector<std::byte> memory;
    std::vector<std::span<std::byte>> list;
};

/// Bit i of `cuts`: a place ends behind byte i.
std::vector<std::size_t> sizes_of(std::uint32_t cuts, std::size_t total) {
    std::vector<std::size_t> sizes{1};
    for (std::size_t i = 0; i + 1 < total; ++i) {
        if ((cuts >> i & 1) != 0)
            sizes.push_back(1);
        else
            ++sizes.back();
    }
    return sizes;
}

TEST(ScatteredLanding, EverySplitIntoPiecesFillsEverySplitIntoPlaces) {
    constexpr std::size_t total = 10;
    const std::vector<std::byte> payload = pattern(1, total);
    for (std::uint32_t cuts = 0; cuts < 1U << (total - 1); ++cuts) {
        for (std::size_t length = 1; length <= total; ++length) {
            SCOPED_TRACE(testing::Message() << "cuts " << cuts << ", pieces of " << length);
            Places places{sizes_of(cuts, total)};
            Recorder events;
            std::span<const std::byte> seen;
            events.on_place = [&](NodeId, const Incoming&) { return Landing::scattered(places.list); };
            events.on_frame = [&](NodeId, const Incoming&, std::span<const std::byte> what) { seen = what; };
            BulkInbox inbox;
            // The last piece first: over several streams any may be.
            for (std::size_t i = (total - 1) / length + 1; i-- > 0;) {
                const std::size_t offset = i * length;
                const PieceHeader piece = piece_of(total, offset, std::min(length, total - offset));
                std::vector<iovec> parts;
                ASSERT_TRUE(inbox.begin(peer, piece, events, parts));
                std::size_t at = offset;
                for (const iovec& part : parts) {
                    std::memcpy(part.iov_base, payload.data() + at, part.iov_len);
                    at += part.iov_len;
                }
                ASSERT_EQ(at - offset, piece.length);
                inbox.complete(piece);
            }
            ASSERT_TRUE(inbox.deliver_next(peer, events, [] { return true; }));
            ASSERT_EQ(seen.data(), places.list.front().data());
            ASSERT_EQ(seen.size(), places.list.front().size());
            ASSERT_TRUE(places.contents() == payload);
        }
    }
}

// Its readings end wherever the network has no more: within a place, at its end, within the header that comes next.
TEST(ScatteredLanding, APieceIsReadIntoItsPlacesHoweverItsBytesCome) {
    const std::vector<std::size_t> sizes = [] {
        std::vector<std::size_t> result(150, 1);  // more than one system call takes
        result.insert(result.end(), {40, 2, 100, 1, 57});
        return result;
    }();
    const std::size_t total = std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
    const std::vector<std::byte> payload = pattern(5, total);
    for (std::size_t chunk = 1; chunk <= total + 2 * sizeof(PieceHeader); ++chunk) {
        SCOPED_TRACE(chunk);
        std::array<int, 2> ends{};
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
        const FileDescriptor near{ends[0]};
        const FileDescriptor far{ends[1]};
        std::vector<std::byte> bytes;
        const auto append = [&](const void* from, std::size_t size) {
            bytes.insert(bytes.end(), static_cast<const std::byte*>(from), static_cast<const std::byte*>(from) + size);
        };
        const PieceHeader first = piece_of(total, 0, total);
        PieceHeader second = first;
        second.number = 77;
        append(&first, sizeof first);
        append(payload.data(), payload.size());
        append(&second, sizeof second);
        Places places{sizes};
        PieceReader reader;
        bool complete = false;
        for (std::size_t at = 0; at < bytes.size(); at += chunk) {
            const std::size_t size = std::min(chunk, bytes.size() - at);
            ASSERT_EQ(write(near.get(), bytes.data() + at, size), static_cast<ssize_t>(size));
            while (reader.fill(far.get()) == ReadOutcome::filled || reader.step() != PieceReader::Step::incomplete) {
                if (reader.step() == PieceReader::Step::header) {
                    if (reader.header().number == 77) break;
                    for (const auto& place : places.list) reader.places().push_back({place.data(), place.size()});
                    reader.begin();
                } else if (reader.step() == PieceReader::Step::complete) {
                    complete = true;
                    reader.advance();
                    if (reader.step() == PieceReader::Step::header) break;
                }
            }
        }
        ASSERT_TRUE(complete);
        ASSERT_EQ(reader.step(), PieceReader::Step::header);
        EXPECT_EQ(reader.header().number, 77U);
        ASSERT_TRUE(places.contents() == payload);
    }
}

struct TransportScatter : Pair {};

TEST_F(TransportScatter, BothLanesReadIntoPlacesAndALatePlaceIsCopiedInto) {
    connect();
    std::mt19937 random{11};
    for (const bool late : {false, true}) {
        for (const Lane lane : {Lane::bulk, Lane::prompt}) {
            const std::size_t total = lane == Lane::bulk ? std::size_t{9} << 20 : 60'000;
            SCOPED_TRACE(testing::Message() << "late " << late << ", bytes " << total);
            std::vector<std::size_t> sizes;
            for (std::size_t left = total; left > 0; left -= sizes.back())
                sizes.push_back(std::min<std::size_t>(left, 1 + random() % (total / 20)));
            Places places{sizes};
            int asked = 0;
            two_->events.on_place = [&](NodeId, const Incoming& incoming) {
                EXPECT_EQ(incoming.size, total);
                return late && ++asked < 2 ? Landing::later() : Landing::scattered(places.list);
            };
            const std::size_t before = two_->events.frames.size();
            send_pattern(*one_, *two_, lane, 9, total);
            ASSERT_TRUE(run([&] {
                two_->hub->resume(one_->id());
                return two_->events.frames.size() > before;
            }));
            EXPECT_EQ(two_->events.frames.back().payload.size(), sizes.front()) << "of the first place only";
            EXPECT_TRUE(places.contents() == pattern(9, total));
        }
    }
}

}  // namespace
}  // namespace phoenix
