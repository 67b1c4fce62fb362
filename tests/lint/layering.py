#!/usr/bin/env python3
"""Checks every #include of the tree against the tables below.

usage: layering.py [--self-test] [ROOT]

Three kinds of rule: which folder may see which (ALLOWED), which third-party header may be included where (THIRD_PARTY),
which system header may be included where (SYSTEM). A header that no table knows is an error, so that a new dependency
is a decision and not an accident. --self-test plants wrong includes in a tree of its own and fails unless each is found.
"""
import pathlib
import re
import sys
import tempfile

LAYERS = ["base", "memory", "messaging", "membership", "topology", "transport", "control", "checkpoint", "runtime"]

# Layer of core/ -> the layers it may include, besides itself. An arrow missing here is forbidden.
ALLOWED = {
    "base": [],
    "memory": ["base"],
    "messaging": ["base", "memory"],
    "membership": ["base", "memory", "messaging"],
    "topology": ["base", "memory"],
    "transport": ["base", "memory"],
    "control": ["base", "memory"],
    "checkpoint": ["base", "memory"],
    "runtime": ["base", "memory", "messaging", "membership", "topology", "transport", "control", "checkpoint"],
}
# What a layer below the runtime may see of the public headers: values, nothing that needs a running job.
PUBLIC_VALUES = {"phoenix/error.hpp", "phoenix/placement.hpp"}

# Folders outside core/: may they see the layers of core/ (or the public headers only), and which folders beside.
OUTSIDE = {
    "mpi": (True, ["mpi"]),
    "tools": (True, ["tools"]),
    "bench": (True, ["bench"]),
    "examples": (False, ["examples"]),
    "tests": (True, ["tests", "tools"]),
}

# Third-party header (prefix of the path in the #include) -> path prefixes of the files that may include it.
THIRD_PARTY = {
    "mpi.h": ["mpi/", "bench/", "examples/", "tests/mpi/"],
    "tbb/": ["core/membership/registry", "bench/"],
    "oneapi/": ["core/membership/registry", "bench/"],
    "hwloc": ["core/topology/"],
    "hdf5": ["core/checkpoint/", "examples/", "tests/", "bench/"],
    "H5": ["core/checkpoint/", "examples/", "tests/", "bench/"],
    "boost/context/": ["core/runtime/fiber"],
    "png.h": ["examples/"],
    "xxhash.h": ["core/", "tools/pflight/selftest/", "examples/", "bench/"],
    "xxh_x86dispatch.h": ["core/transport/piece_digest.cpp"],
    "fmt/": ["core/", "mpi/", "tools/", "examples/", "bench/", "tests/"],
    "tl/expected.hpp": ["core/", "mpi/", "tools/", "tests/"],
    "spdlog/": ["core/base/log", "tools/"],
    "nlohmann/": ["core/memory/settings", "core/control/", "core/checkpoint/", "tools/", "bench/", "tests/"],
    "CLI/": ["tools/", "examples/", "bench/", "tests/"],
    "openssl/": ["core/transport/hmac"],
    "gtest/": ["tests/"],
    "gmock/": ["tests/"],
    "benchmark/": ["bench/"],
    "sanitizer/": ["core/runtime/fiber", "tests/"],
}

# System headers (regular expression) -> path prefixes of the files that may include them. Files of core/ only.
SYSTEM = {
    # Blocking primitives lie in one process: nothing that other members share may use them.
    r"(mutex|shared_mutex|condition_variable|semaphore|latch|barrier)": ["core/runtime/", "core/control/",
                                                                        "core/checkpoint/"],
    r"(thread|stop_token|pthread\.h)": ["core/runtime/", "core/control/", "core/checkpoint/", "core/messaging/spin"],
    r"(sys/socket\.h|sys/un\.h|netinet/.*|arpa/.*|net/.*|netdb\.h|ifaddrs\.h)":
        ["core/control/", "core/transport/", "tools/pflight/host_address"],
    r"sys/(epoll|timerfd)\.h": ["core/transport/"],
    r"sys/ptrace\.h": [],
    # Wall clocks are no part of a result; the runtime's own clock is base/clock.hpp.
    r"(chrono|sys/time\.h)": ["core/runtime/", "core/control/", "core/checkpoint/"],
}
# Decisions are functions of values: these see no clock, thread, socket, file or process.
PURE = re.compile(r"core/membership/(view|reconcile|placement|crash_ledger)\.[ch]pp")
PURE_FORBIDDEN = re.compile(r"(thread|chrono|ctime|time\.h|unistd\.h|fcntl\.h|poll\.h|csignal|signal\.h|random|fstream|sys/.*)")

STANDARD = set("""algorithm any array atomic barrier bit bitset cassert ccomplex cctype cerrno cfenv cfloat charconv chrono
cinttypes climits clocale cmath codecvt compare complex concepts condition_variable coroutine csetjmp csignal cstdarg
cstddef cstdint cstdio cstdlib cstring ctime cuchar cwchar cwctype deque exception execution filesystem forward_list
fstream functional future initializer_list iomanip ios iosfwd iostream istream iterator latch limits list locale map
memory memory_resource mutex new numbers numeric optional ostream queue random ranges ratio regex scoped_allocator
semaphore set shared_mutex source_location span sstream stack stdexcept stop_token streambuf string string_view
syncstream system_error thread tuple type_traits typeindex typeinfo unordered_map unordered_set utility valarray variant
vector version""".split())
# C and POSIX headers, and those of the kernel and the compiler.
PLATFORM = re.compile(r"((sys|linux|net|netinet|arpa|asm)/[a-z0-9_/]+\.h|[a-z0-9_]+intrin\.h|cxxabi\.h|features\.h|"
                      r"(assert|ctype|dirent|dlfcn|elf|errno|execinfo|fcntl|fenv|fnmatch|getopt|glob|grp|inttypes|libgen|"
                      r"ifaddrs|limits|locale|malloc|math|netdb|poll|pthread|pty|pwd|sched|semaphore|setjmp|signal|spawn|stdarg|"
                      r"stdbool|stddef|stdint|stdio|stdlib|string|strings|syscall|termios|time|ucontext|unistd|wait)\.h)")

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
SUFFIXES = {".cpp", ".hpp", ".h", ".c"}


def folder_rules(path, target):
    """Returns why `path` may not include the header `target` of this tree, None if it may, or "" if it is none."""
    top = path.split("/")[0]
    first = target.split("/")[0]
    if first == target:
        return ""  # <memory> is the standard's, memory/arena.hpp is ours
    public = first == "phoenix"
    if path.startswith("core/include/"):
        if public:
            return None
        return f"a public header sees public headers only, not {target}" if first in LAYERS else ""
    if top == "core":
        layer = path.split("/")[1]
        if public:
            if layer == "runtime" or target in PUBLIC_VALUES:
                return None
            return f"core/{layer} sees of the public headers only {', '.join(sorted(PUBLIC_VALUES))}"
        if first in LAYERS:
            if first == layer or first in ALLOWED[layer]:
                return None
            return f"core/{layer} may include {', '.join(ALLOWED[layer]) or 'no other layer'}, not {first}"
        return f"core/ sees nothing of {first}/" if first in OUTSIDE else ""
    sees_core, beside = OUTSIDE[top]
    if public:
        return None
    if first in LAYERS:
        return None if sees_core else f"{top}/ is user code: it sees phoenix/ headers only"
    if first in OUTSIDE:
        return None if first in beside else f"{top}/ sees nothing of {first}/"
    return ""


def third_party_rules(path, target):
    for prefix, places in THIRD_PARTY.items():
        if target == prefix or (target.startswith(prefix) and not prefix.endswith(".h")):
            if any(path.startswith(place) for place in places):
                return None
            return f"{target} may be included only under {', '.join(places)}"
    return ""


def system_rules(path, target):
    if path.startswith("core/include/") and target not in STANDARD:
        return f"a public header includes the C++ standard library and phoenix/ only, not {target}"
    if PURE.fullmatch(path) and PURE_FORBIDDEN.fullmatch(target):
        return f"this file holds pure decisions: no {target}"
    if path.startswith("core/"):
        for pattern, places in SYSTEM.items():
            if re.fullmatch(pattern, target) and not any(path.startswith(place) for place in places):
                return f"{target} may be included in core/ only under {', '.join(places) or 'no folder'}"
    if target in STANDARD or PLATFORM.fullmatch(target):
        return None
    return ""


def why_not(root, path, quoted, target):
    """Returns why the file `path` (relative to root) may not include `target`, or None."""
    if ".." in target.split("/") or target.startswith("/"):
        return "includes are written from the root of the layers, without '..'"
    if path.startswith("core/include/") and third_party_rules(path, target) != "":
        return f"a public header shows no third-party header: {target}"
    for rules in (folder_rules, third_party_rules, system_rules):
        reason = rules(path, target)
        if reason != "":
            return reason
    # A neighbour of the same folder outside core/ is written by its name alone.
    here = (root / path).parent
    if quoted and not path.startswith("core/") and any((place / target).is_file() for place in neighbours(root, path, here)):
        return None
    return f"no table in tests/lint/layering.py knows {target}"


def neighbours(root, path, here):
    """Folders from which a file outside core/ may name a header of its own part, or of the part that it tests."""
    parts = path.split("/")
    top = root / parts[0]
    if parts[:2] == ["tests", "unit"] and len(parts) > 3 and parts[2] in OUTSIDE:
        yield root / parts[2]
    if parts[0] == "bench":
        yield root / "examples"  # a rival computes with the very kernels of the example that it rivals
    while True:
        yield here
        if here == top:
            return
        here = here.parent


def violations(root):
    found = []
    for top in ["core", *OUTSIDE]:
        for file in sorted((root / top).rglob("*")):
            path = file.relative_to(root).as_posix()
            if file.suffix not in SUFFIXES or path.startswith("tests/package/"):
                continue
            if top == "core" and path.split("/")[1] not in [*LAYERS, "include"]:
                found.append(f"{path}: core/{path.split('/')[1]} is no layer in tests/lint/layering.py")
                continue
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                reason = why_not(root, path, match[1] is not None, match[1] or match[2])
                if reason:
                    found.append(f"{path}:{number}: {reason}")
    return found


# File, its include lines, and whether each is wrong.
PLANTS = [
    ("core/base/ids.hpp", ["<cstdint>"], False),
    ("core/base/up.cpp", ['"memory/arena.hpp"'], True),
    ("core/memory/arena.hpp", ['"base/ids.hpp"', "<sys/mman.h>", "<tl/expected.hpp>", '"phoenix/error.hpp"'], False),
    ("core/memory/lock.hpp", ["<mutex>"], True),
    ("core/messaging/log.hpp", ['"memory/arena.hpp"', '"messaging/chunk.hpp"'], False),
    ("core/messaging/up.cpp", ['"membership/view.hpp"'], True),
    ("core/membership/side.cpp", ['"topology/topology.hpp"'], True),
    ("core/membership/view.cpp", ["<unistd.h>"], True),
    ("core/membership/registry.hpp", ["<tbb/concurrent_vector.h>"], False),
    ("core/membership/other.hpp", ["<tbb/concurrent_vector.h>"], True),
    ("core/checkpoint/writer.cpp", ["<hdf5.h>", '"memory/arena.hpp"'], False),
    ("core/checkpoint/up.cpp", ['"runtime/fiber.hpp"'], True),
    ("core/checkpoint/public.cpp", ["<phoenix/domain.hpp>"], True),
    ("core/topology/cores.cpp", ["<hwloc.h>"], False),
    ("core/runtime/cores.cpp", ["<hwloc.h>"], True),
    ("core/transport/hub.cpp", ["<sys/socket.h>", "<sys/epoll.h>", '"memory/control_segment.hpp"'], False),
    ("core/transport/hmac.cpp", ["<openssl/hmac.h>"], False),
    ("core/transport/side.cpp", ["<openssl/hmac.h>"], True),
    ("core/transport/up.cpp", ['"messaging/log.hpp"'], True),
    ("core/transport/waits.cpp", ["<thread>"], True),
    ("core/messaging/loop.cpp", ["<sys/epoll.h>"], True),
    ("core/membership/wire.cpp", ['"transport/transport.hpp"'], True),
    ("core/runtime/port.cpp", ['"transport/transport.hpp"'], False),
    ("core/runtime/rank.cpp", ["<mpi.h>"], True),
    ("core/runtime/quoted_rank.cpp", ['"mpi.h"'], True),
    ("core/runtime/tools.cpp", ['"tools/pflight.hpp"'], True),
    ("core/runtime/dots.cpp", ['"../base/ids.hpp"'], True),
    ("core/runtime/fiber.cpp", ["<boost/context/detail/fcontext.hpp>", "<phoenix/domain.hpp>"], False),
    ("core/runtime/loop.cpp", ["<boost/context/fiber.hpp>"], True),
    ("core/runtime/new_dependency.cpp", ["<curl/curl.h>"], True),
    ("core/include/phoenix/domain.hpp", ["<span>", "<memory>", "<phoenix/error.hpp>"], False),
    ("core/include/phoenix/leak.hpp", ['"runtime/fiber.hpp"'], True),
    ("core/include/phoenix/fmt.hpp", ["<fmt/format.h>"], True),
    ("core/include/phoenix/posix.hpp", ["<unistd.h>"], True),
    ("core/utils/utils.hpp", ["<vector>"], True),
    ("mpi/transport.cpp", ["<mpi.h>", '"runtime/fiber.hpp"'], False),
    ("examples/plate.cpp", ["<phoenix/phoenix.hpp>", "<hdf5.h>", "<png.h>", "<mpi.h>", '"grid.hpp"'], False),
    ("examples/grid.hpp", ["<vector>"], False),
    ("examples/inside.cpp", ['"runtime/fiber.hpp"'], True),
    ("tools/pflight.cpp", ['"control/agent.hpp"', "<CLI/CLI.hpp>"], False),
    ("tools/rank.cpp", ["<mpi.h>"], True),
    ("tests/unit/base/ids_test.cpp", ['"base/ids.hpp"', "<gtest/gtest.h>"], False),
    ("tests/unit/base/rank_test.cpp", ["<mpi.h>"], True),
    ("tests/unit/examples/grid_test.cpp", ['"grid.hpp"'], False),
    ("tests/unit/base/grid_test.cpp", ['"grid.hpp"'], True),
    ("bench/stencil/rival.cpp", ['"grid.hpp"', "<mpi.h>"], False),
    ("tests/mpi/rank_test.cpp", ["<mpi.h>"], False),
]


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, includes, _ in PLANTS:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("#pragma once\n" + "".join(f"#include {header}\n" for header in includes))
        found = violations(root)
    wrong = 0
    for path, _, planted in PLANTS:
        hits = [line for line in found if line.startswith(path + ":")]
        if bool(hits) != planted:
            wrong += 1
            print(f"self-test: {path} should {'fail' if planted else 'pass'}: {hits or 'nothing found'}")
    print(f"layering self-test: {len(PLANTS)} files, {sum(p for _, _, p in PLANTS)} planted errors, {wrong} misjudged")
    return 1 if wrong else 0


def main(arguments):
    if "--self-test" in arguments:
        return self_test()
    root = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).resolve().parents[2]
    found = violations(root)
    print("\n".join(found) if found else "layering: every include is allowed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
