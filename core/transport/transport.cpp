#include "transport/transport.hpp"

namespace phoenix {

std::string_view name_of(LinkEnd reason) noexcept {
    switch (reason) {
        case LinkEnd::closed: return "closed";
        case LinkEnd::died: return "died";
        case LinkEnd::unreachable: return "unreachable";
        case LinkEnd::refused: return "refused";
        case LinkEnd::unstable: return "unstable";
        case LinkEnd::violated: return "violated";
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
