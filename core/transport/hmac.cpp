#include "transport/hmac.hpp"

#include "base/check.hpp"

#include <cerrno>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>
#include <vector>

namespace phoenix {

Mac hmac_sha256(std::span<const std::uint8_t> key, std::span<const std::span<const std::byte>> parts) {
    std::vector<std::uint8_t> text;
    for (const auto& part : parts)
        for (const std::byte byte : part) text.push_back(static_cast<std::uint8_t>(byte));
    Mac mac{};
    unsigned size = 0;
    const unsigned char* const done =
        HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), text.data(), text.size(), mac.data(), &size);
    // It fails for lack of memory only; a code of zeros must never be taken for one.
    PHOENIX_CHECK(done != nullptr && size == mac.size());
    return mac;
}

bool same_mac(const Mac& left, const Mac& right) noexcept {
    return CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

bool draw_random(std::span<std::byte> bytes) noexcept {
    while (!bytes.empty()) {
        const ssize_t drawn = getrandom(bytes.data(), bytes.size(), 0);
        if (drawn < 0 && errno == EINTR) continue;
        if (drawn <= 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(drawn));
    }
    return true;
}

}  // namespace phoenix
