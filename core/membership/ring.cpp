#include "membership/ring.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <tuple>
#include <xxhash.h>

namespace phoenix {

namespace {

// Members and VNodes have keys of different lengths, so that no point lies on a VNode for its number's sake.
std::uint64_t token_of(std::uint64_t seniority, std::uint64_t number) noexcept {
    const std::array<std::uint64_t, 2> key{seniority, number};
    return XXH64(key.data(), sizeof key, 0);
}

std::uint64_t hash_of(VNodeId vnode) noexcept { return XXH64(&vnode.value, sizeof vnode.value, 0); }

}  // namespace

Ring::Ring(std::uint32_t tokens, std::span<const RingMember> members) {
    PHOENIX_CHECK(tokens > 0 && !members.empty());
    points_.reserve(std::size_t{tokens} * members.size());
    for (const RingMember& member : members) {
        for (std::uint32_t number = 0; number < tokens; ++number) {
            points_.push_back({token_of(member.seniority, number), member.seniority, member.slot});
        }
    }
    std::sort(points_.begin(), points_.end(), [](const Point& a, const Point& b) {
        return std::tie(a.token, a.seniority) < std::tie(b.token, b.seniority);
    });
    // About as many starting places as points: a search begins next to its end. 2^24 VNodes are looked up while this
    // member must give signs of life.
    const unsigned bits = std::max(1U, static_cast<unsigned>(std::bit_width(points_.size())));
    shift_ = 64 - bits;
    first_.resize(std::size_t{1} << bits);
    std::uint32_t at = 0;
    for (std::size_t place = 0; place < first_.size(); ++place) {
        while (at < points_.size() && points_[at].token >> shift_ < place) ++at;
        first_[place] = at;
    }
}

MemberSlot Ring::owner_of(VNodeId vnode) const {
    const std::uint64_t hash = hash_of(vnode);
    std::uint32_t at = first_[hash >> shift_];
    while (at < points_.size() && points_[at].token < hash) ++at;
    return points_[at == points_.size() ? 0 : at].slot;
}

}  // namespace phoenix
