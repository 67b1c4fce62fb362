#include "transport/piece_digest.hpp"

#define XXH_STATIC_LINKING_ONLY  // the state lies on the stack: no memory is needed to check a piece
#include <xxhash.h>
#ifdef PHOENIX_XXHASH_DISPATCH
#include <xxh_x86dispatch.h>  // in place of the functions of the same name: by processor, not by compiler flags
#endif

namespace phoenix {

std::uint64_t piece_digest(PieceHeader header, std::span<const iovec> payload) noexcept {
    header.digest = 0;
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, &header, sizeof header);
    for (const iovec& part : payload) XXH3_64bits_update(&state, part.iov_base, part.iov_len);
    return XXH3_64bits_digest(&state);
}

std::uint64_t payload_digest(std::span<const std::span<const std::byte>> payload) noexcept {
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    for (const auto& part : payload) XXH3_64bits_update(&state, part.data(), part.size());
    return XXH3_64bits_digest(&state);
}

}  // namespace phoenix
