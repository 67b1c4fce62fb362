#include "base/check.hpp"

#include <cstdio>
#include <cstdlib>
#include <unistd.h>

namespace phoenix::detail {

void check_failed(const char* expression, const char* file, int line, std::string_view note) noexcept {
    std::fprintf(stderr, "phoenix: bug: %s does not hold at %s:%d%s%.*s (process %d ends; others recover)\n",
                 expression, file, line, note.empty() ? "" : ": ", static_cast<int>(note.size()), note.data(),
                 static_cast<int>(getpid()));
    std::abort();
}

}  // namespace phoenix::detail
