#include "phoenix/error.hpp"

namespace phoenix {

std::string_view name_of(Errc code) noexcept {
    switch (code) {
        case Errc::invalid_argument: return "invalid_argument";
        case Errc::wrong_state: return "wrong_state";
        case Errc::mismatch: return "mismatch";
        case Errc::no_memory: return "no_memory";
        case Errc::system: return "system";
        case Errc::refused: return "refused";
        case Errc::deadlock: return "deadlock";
        case Errc::not_deterministic: return "not_deterministic";
        case Errc::step_failed: return "step_failed";
        case Errc::member_lost: return "member_lost";
        case Errc::corrupt: return "corrupt";
        case Errc::interrupted: return "interrupted";
        case Errc::internal: return "internal";
    }
    return "unknown";
}

}  // namespace phoenix
