#pragma once
/// Digest of an array that comes in pieces, for comparing the results of two runs.

#include <memory>
#include <span>
#include <string>

struct XXH3_state_s;

namespace support {

/// XXH3-128 over the bytes of all values added, in their order: the pieces they came in do not matter.
class Digest {
  public:
    Digest();
    ~Digest();
    Digest(const Digest&) = delete;
    Digest& operator=(const Digest&) = delete;

    void add(std::span<const double> values);
    /// 32 hexadecimal digits, in xxHash's canonical order (as `xxhsum -H2` prints them).
    [[nodiscard]] std::string text() const;

  private:
    std::unique_ptr<XXH3_state_s, void (*)(XXH3_state_s*)> state_;
};

}  // namespace support
