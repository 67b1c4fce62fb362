#!/usr/bin/env python3
"""Runs clang-tidy over the sources of a build tree, only those that changed since they were last found clean.

usage: tidy.py BUILD_DIR [--all]

A source is known by a digest of itself, the headers of this tree that it reaches, .clang-tidy and the tool's version;
digests of clean sources are kept in BUILD_DIR/lint/tidy. --all ignores them.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("core/", "mpi/", "tools/", "bench/", "examples/", "tests/")
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.MULTILINE)
# GCC knows warnings that clang does not, and a warning of clang is no finding: only the chosen checks are.
EXTRA = ["--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-error"]


def reached(source, search, known):
    """All files of this tree that `source` includes, directly or not, itself included."""
    todo, seen = [source], set()
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        if file not in known:
            known[file] = INCLUDE.findall(file.read_text(encoding="utf-8"))
        for name in known[file]:
            for place in (file.parent, *search):
                candidate = place / name
                if candidate.is_file():
                    todo.append(candidate.resolve())
                    break
    return sorted(seen)


def sources_of(build):
    """Source -> include folders inside this tree, from the compile commands."""
    sources = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        if not file.is_relative_to(ROOT) or not file.relative_to(ROOT).as_posix().startswith(FOLDERS):
            continue
        if file.suffix not in {".cpp", ".c"} or not file.is_file():
            continue
        words = shlex.split(entry["command"])
        folders = [word[2:] for word in words if word.startswith("-I")]
        sources[file] = [pathlib.Path(f) for f in folders if pathlib.Path(f).resolve().is_relative_to(ROOT)]
    return sources


def check(build, file):
    began = time.monotonic()
    run = subprocess.run(["clang-tidy", "--quiet", "-p", str(build), *EXTRA, str(file)], cwd=ROOT,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return file, run.returncode, run.stdout, time.monotonic() - began


def main(arguments):
    if not arguments:
        print(__doc__)
        return 2
    build = pathlib.Path(arguments[0]).resolve()
    stamps = build / "lint" / "tidy"
    stamps.mkdir(parents=True, exist_ok=True)
    version = subprocess.run(["clang-tidy", "--version"], stdout=subprocess.PIPE, check=True).stdout
    common = version + (ROOT / ".clang-tidy").read_bytes() + (ROOT / "tests" / ".clang-tidy").read_bytes()
    known, todo, digests = {}, [], {}
    sources = sources_of(build)
    for file, search in sorted(sources.items()):
        digest = hashlib.sha256(common + b"".join(f.read_bytes() for f in reached(file, search, known))).hexdigest()
        digests[file] = digest
        if "--all" in arguments or not (stamps / digest).exists():
            todo.append(file)
    wrong = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, status, output, seconds in pool.map(lambda f: check(build, f), todo):
            if status == 0:
                (stamps / digests[file]).touch()
                continue
            wrong.append(file)
            print(f"-- {file.relative_to(ROOT)} ({seconds:.1f} s)")
            # Notes and the count of suppressed warnings of system headers help nobody.
            print("\n".join(line for line in output.splitlines() if not re.match(r"^\d+ warnings? (generated|treated)", line)))
    print(f"clang-tidy: {len(sources)} sources, {len(todo)} looked at, {len(wrong)} with findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
