#!/usr/bin/env python3
"""Checks what a formatter does not: length of files, words that have no place in a finished tree, stray white space.

usage: text_rules.py [--self-test] [ROOT]
"""
import os
import pathlib
import re
import sys
import tempfile

LINES_MAX = 500
FOLDERS = ["core", "mpi", "tools", "bench", "examples", "tests", "slurm", "cmake", "docs", ".ci"]
# A file of these kinds is code: the limit of lines holds.
CODE = {".cpp", ".hpp", ".h", ".c", ".py", ".sh", ".cmake", ".f90", ".pml", ""}
TEXT = CODE | {".md", ".txt", ".in", ".json", ".yaml", ".yml"}

# Written in pieces, so that this file does not contain what it looks for.
WORDS = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b|\bfor" r" now\b")
SLEEP = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\s*\(")
NOLINT = re.compile(r"NOLINT(NEXTLINE|BEGIN)?(?!END)(\([^)]*\))?(?P<reason>.*)")


def files_of(root):
    for name in ["CMakeLists.txt", "CMakePresets.json", "dev", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md",
                 "CHANGELOG.md"]:
        if (root / name).is_file():
            yield root / name
    for folder in FOLDERS:
        for parent, folders, names in os.walk(root / folder):
            folders[:] = sorted(f for f in folders if f not in ("__pycache__", "build"))
            for name in sorted(names):
                if pathlib.Path(name).suffix in TEXT:
                    yield pathlib.Path(parent) / name


def problems_of(path, text):
    lines = text.splitlines()
    suffix = pathlib.PurePosixPath(path).suffix
    if suffix in CODE and len(lines) > LINES_MAX:
        yield f"{path}: {len(lines)} lines, {LINES_MAX} are the limit: split it by concept"
    if text and not text.endswith("\n"):
        yield f"{path}: the last line has no line end"
    is_cpp = suffix in {".cpp", ".hpp", ".h", ".c"}
    if suffix == ".hpp" and "#pragma once" not in text:
        yield f"{path}: no #pragma once"
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        word = WORDS.search(line)
        if word:
            yield f"{where}: '{word[0]}' has no place here: do it, or write an issue"
        if line != line.rstrip():
            yield f"{where}: white space at the end of the line"
        if "\t" in line and suffix not in {".in"}:
            yield f"{where}: a tab"
        above = lines[number - 2].strip() if number > 1 else ""
        if is_cpp and path.startswith("tests/") and SLEEP.search(line) and "//" not in line and not above.startswith("//"):
            yield f"{where}: a sleep orders nothing: wait for the event, or say in a comment what it is for"
        nolint = NOLINT.search(line) if is_cpp else None
        if nolint and "END" not in nolint[0][:12]:
            if not nolint[2]:
                yield f"{where}: NOLINT names no check"
            if ":" not in nolint["reason"]:
                yield f"{where}: NOLINT gives no reason; write NOLINT(check): reason"


def violations(root):
    found = []
    for file in files_of(root):
        path = file.relative_to(root).as_posix()
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a binary fixture
        found += problems_of(path, text)
    return found


PLANTS = [
    ("core/base/good.hpp", "#pragma once\nint answer();  // NOLINT(check): reason\n", 0),
    ("core/base/long.cpp", "int x;\n" * (LINES_MAX + 1), 1),
    ("core/base/limit.cpp", "int x;\n" * LINES_MAX, 0),
    ("core/base/word.cpp", "// TO" "DO: later\n// it works for" " now\n", 2),
    ("core/base/guard.hpp", "int x();\n", 1),
    ("core/base/space.cpp", "int x; \n\tint y;\n", 2),
    ("core/base/end.cpp", "int x;", 1),
    ("core/base/nolint.cpp", "int x;  // NOLINT\nint y;  // NOLINT(check)\n", 3),
    ("tests/unit/base/sleep_test.cpp", "usleep(1);\n// A slow reader is what is tested.\nusleep(1);\n", 1),
    ("CHANGELOG.md", "line\n" * (LINES_MAX + 1), 0),
]


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, text, _ in PLANTS:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        found = violations(root)
    wrong = 0
    for path, _, count in PLANTS:
        hits = [line for line in found if line.startswith(path + ":")]
        if len(hits) != count:
            wrong += 1
            print(f"self-test: {path} should give {count} problems: {hits}")
    print(f"text rules self-test: {len(PLANTS)} files, {wrong} misjudged")
    return 1 if wrong else 0


def main(arguments):
    if "--self-test" in arguments:
        return self_test()
    root = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).resolve().parents[2]
    found = violations(root)
    print("\n".join(found) if found else "text rules: nothing found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
