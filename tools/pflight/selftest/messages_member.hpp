#pragma once
/// The program that members of `pflight selftest messages` run.

#include "pflight/selftest/traffic.hpp"

#include <cstdint>

namespace phoenix::pflight::selftest {

struct MessagesTest {
    std::uint64_t messages{1'000'000};  ///< To send at least.
    std::uint32_t vnodes{32};
    std::uint64_t seed{1};
    bool json{false};
    Plant plant{Plant::none};
};

/// As a member of the job that the environment names: sends, checks, says the result on stdout. Returns 0 if every
/// message of every stream has come once, in order and whole; else 1.
[[nodiscard]] int run_messages_member(const MessagesTest& test);

}  // namespace phoenix::pflight::selftest
