#pragma once
/// PHOENIX_CHECK: invariants of our own code. Always on; a violation prints and ends *this* member, the others
/// recover from it as from any other death.

#include <string_view>

namespace phoenix::detail {
[[noreturn]] void check_failed(const char* expression, const char* file, int line, std::string_view note) noexcept;
}

#define PHOENIX_CHECK(expression) \
    ((expression) ? static_cast<void>(0) : ::phoenix::detail::check_failed(#expression, __FILE__, __LINE__, {}))
#define PHOENIX_CHECK_NOTE(expression, note) \
    ((expression) ? static_cast<void>(0) : ::phoenix::detail::check_failed(#expression, __FILE__, __LINE__, (note)))
