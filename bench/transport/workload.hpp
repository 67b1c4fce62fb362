#pragma once
/// What both sides of the comparison do: two processes of one machine, one sends, the other looks at what came.

#include "support/pinning.hpp"
#include "support/samples.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace transport_bench {

struct Case {
    std::string_view name;
    std::size_t bytes;
    std::uint32_t messages;  ///< Of one sample; there and back if `echo`.
    std::uint32_t samples;
    bool echo;  ///< Latency: each is answered before the next; else a stream, over when the last one is accepted.
    bool checked{false};  ///< A digest of every piece travels with it. Ours only.

    [[nodiscard]] constexpr std::uint32_t warm_up() const noexcept { return samples / 5 + 1; }
    [[nodiscard]] constexpr std::uint64_t total() const noexcept {
        return std::uint64_t{messages} * (samples + warm_up());
    }
};

inline constexpr std::array<Case, 4> cases{{
    {"8B", 8, 500, 100, true},
    {"1MiB", 1U << 20, 64, 40, false},
    {"256MiB", 256U << 20, 1, 8, false},
    {"256MiB checked", 256U << 20, 1, 8, false, true},
}};

/// First and last word carry the number.
inline void write_message(std::span<std::byte> bytes, std::uint64_t number) noexcept {
    std::memcpy(bytes.data() + bytes.size() - sizeof number, &number, sizeof number);
    std::memcpy(bytes.data(), &number, sizeof number);
}
[[nodiscard]] inline bool right_message(std::span<const std::byte> bytes, std::uint64_t number) noexcept {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    if (bytes.size() < sizeof number) return false;
    std::memcpy(&first, bytes.data(), sizeof first);
    std::memcpy(&last, bytes.data() + bytes.size() - sizeof last, sizeof last);
    return first == number && last == number;
}

/// Runs `receive` in a child on the other core, then `send` here; true if both found everything right.
template <typename Receive, typename Send>
[[nodiscard]] bool in_two_processes(Receive&& receive, Send&& send) {
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(2);
        bench::pin_to_core(1);
        _exit(receive() ? 0 : 1);
    }
    bench::pin_to_core(0);
    const bool sent = send();
    int status = 0;
    waitpid(child, &status, 0);
    return sent && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// Takes the time of each sample.
class Samples {
  public:
    explicit Samples(const Case& what) : case_(what) {}
    void begin() noexcept { began_ = bench::now_ns(); }
    void end(std::uint32_t sample) {
        const double per_message = static_cast<double>(bench::now_ns() - began_) / case_.messages;
        if (sample >= case_.warm_up()) ns_.push_back(case_.echo ? per_message / 2 : per_message);
    }
    void print(bool good) const { bench::print_samples(case_.name, ns_, good); }

  private:
    const Case& case_;
    std::vector<double> ns_;
    std::int64_t began_{0};
};

}  // namespace transport_bench
