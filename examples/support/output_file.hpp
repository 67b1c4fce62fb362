#pragma once
/// Files an example writes at its end: tried before the computation starts, complete under their final name.

#include <functional>
#include <string>

namespace support {

/// Makes sure that `path` can be written later, and leaves nothing behind.
///
/// @error invalid_argument  It cannot; the sentence says why.
void require_writable(const std::string& path);

/// Calls write(name) with a name beside `path` and renames the result to `path`; whoever repeats it after a death
/// starts afresh.
///
/// @error system  The rename failed; what `write` throws passes through, and nothing is left.
void write_whole(const std::string& path, const std::function<void(const std::string&)>& write);

}  // namespace support
