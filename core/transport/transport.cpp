#include "transport/transport.hpp"

#include "base/check.hpp"

#include <cstring>

namespace phoenix {

std::vector<std::span<std::byte>> Landing::places(std::uint64_t size) const {
    if (kind_ == Kind::here && size > 0) return {std::span{address_, size}};
    std::uint64_t sum = 0;
    for (const auto& place : places_) sum += place.size();
    PHOENIX_CHECK(kind_ != Kind::scattered || sum == size);
    return places_;
}

std::span<const std::byte> Landing::fill(std::span<const std::byte> payload) const {
    if (address_ == nullptr) return payload;
    const auto targets = places(payload.size());
    for (const auto& place : targets) {
        if (!place.empty()) std::memcpy(place.data(), payload.data(), place.size());
        payload = payload.subspan(place.size());
    }
    return {address_, targets.empty() ? 0 : targets.front().size()};
}

std::string_view name_of(LinkEnd reason) noexcept {
    switch (reason) {
        case LinkEnd::closed: return "closed";
        case LinkEnd::died: return "died";
        case LinkEnd::unreachable: return "unreachable";
        case LinkEnd::refused: return "refused";
        case LinkEnd::unstable: return "unstable";
        case LinkEnd::violated: return "violated";
        case LinkEnd::damaged: return "damaged";
    }
    return "unknown";
}

std::string_view name_of(RefusalReason reason) noexcept {
    switch (reason) {
        case RefusalReason::malformed: return "malformed";
        case RefusalReason::version: return "version";
        case RefusalReason::job: return "job";
        case RefusalReason::node: return "node";
        case RefusalReason::secret: return "secret";
        case RefusalReason::late: return "late";
        case RefusalReason::truncated: return "truncated";
        case RefusalReason::crowded: return "crowded";
        case RefusalReason::crossed: return "crossed";
        case RefusalReason::stale: return "stale";
    }
    return "unknown";
}

}  // namespace phoenix
