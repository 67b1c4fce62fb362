#!/usr/bin/env python3
"""Runs the commands of a page: every fenced `sh` block, in order, in one scratch folder that looks like the tree.

usage: readme_commands.py [--self-test] [--list] PAGE

- The scratch folder holds a link to everything at the root of the tree: what a command writes does not land in the tree.
- `./dev` with demo, test, build, bench or lint is checked with `./dev --dry-run`: arguments are read and the scripts
  behind them looked for, nothing is repeated inside a test run. `./dev run ...` and all other commands are executed.
- A block after a line `<!-- not run: REASON -->` is only parsed; it is listed with its reason.
A command fails the page when it exits non-zero, or takes more than 120 s.
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT_S = 120
DRY = re.compile(r"^\./dev\s+(?!--dry-run)(?:--no-install\s+)?(demo|test|build|bench|lint)\b")
SKIP = re.compile(r"<!--\s*not run:\s*(\S.*?)\s*-->")


def blocks_of(text):
    """Yields (line number, reason why not run or None, commands) of each fenced sh block."""
    reason, start, commands = None, 0, None
    for number, line in enumerate(text.splitlines(), 1):
        if commands is not None:
            if line.strip() == "```":
                yield start, reason, commands
                reason, commands = None, None
            else:
                commands.append(line)
        elif re.fullmatch(r"```(sh|bash|shell|console)\s*", line.strip()):
            start, commands = number, []
        elif SKIP.search(line):
            reason = SKIP.search(line)[1]
        elif line.strip():
            reason = None  # the marker stands right before its block
    if commands is not None:
        raise SystemExit(f"the block that starts at line {start} is not closed")


def commands_of(lines):
    """Joins continued lines; drops comments, blank lines and a leading prompt."""
    pending = ""
    for line in lines:
        line = re.sub(r"^\$ ", "", line.strip())
        if not pending and (not line or line.startswith("#")):
            continue
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        yield pending
        pending = ""
    if pending:
        yield pending


def as_run(command):
    return re.sub(r"^\./dev\s+", "./dev --dry-run ", command) if DRY.match(command) else command


def parses(command):
    return subprocess.run(["bash", "-n", "-c", command], stderr=subprocess.DEVNULL, check=False).returncode == 0


def execute(command, folder, environment):
    """Returns whether the command succeeded, else why not, and its output."""
    process = subprocess.Popen(["bash", "-c", f"set -euo pipefail\n{command}"], cwd=folder, env=environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True)
    try:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # what the command started holds the pipe open as well
        output, _ = process.communicate()
        return False, f"more than {TIMEOUT_S} s", output
    return process.returncode == 0, f"exit status {process.returncode}", output


def check(text, root, list_only=False):
    """Returns the number of commands that failed."""
    failed = executed = 0
    with tempfile.TemporaryDirectory(prefix="phoenix-readme-") as scratch:
        for entry in root.iterdir():
            if entry.name != ".git":
                os.symlink(entry, pathlib.Path(scratch) / entry.name)
        environment = dict(os.environ, PATH=f"{root}/build/release/bin:{os.environ['PATH']}")
        for line, reason, lines in blocks_of(text):
            for command in commands_of(lines):
                if reason or list_only:
                    good = parses(command)
                    print(f"{'not run' if good else 'FAILED'}: line {line}: {command} ({reason or 'only listed'})")
                    failed += not good
                    continue
                run = as_run(command)
                good, why, output = execute(run, scratch, environment)
                executed += 1
                failed += not good
                print(f"{'ok' if good else 'FAILED'}: line {line}: {run}" + ("" if good else f" ({why})\n{output}"))
    print(f"{executed} commands executed, {failed} failed")
    return failed


SELF_TEST = [
    ("```sh\ntrue\n# false\n\n$ true\n```\n", 0),
    ("```sh\ntrue\nfalse\n```\n", 1),
    ("```sh\nfalse | true\n```\n", 1),
    ("```cpp\nfalse\n```\n", 0),
    ("```sh\nno-such-program-here\n```\n", 1),
    ("```sh\ntest a = \\\n  a\n```\n", 0),
    ("```sh\necho kept > scratch.txt\ntest -s scratch.txt\n```\n", 0),
    ("<!-- not run: needs a cluster -->\n```sh\nfalse\n```\n```sh\ntrue\n```\n", 0),
    ("<!-- not run: needs a cluster -->\nText.\n```sh\nfalse\n```\n", 1),
    ("<!-- not run: needs a cluster -->\n```sh\nif (\n```\n", 1),
    ("```sh\n./dev test --label unit\n./dev --no-install build\n```\n", 0),
    ("```sh\n./dev test --label no-such-label\n```\n", 1),
    ("```sh\n./dev no-such-command\n```\n", 1),
]


def self_test():
    wrong = 0
    for text, expected in SELF_TEST:
        failed = check(text, ROOT)
        if failed != expected:
            wrong += 1
            print(f"self-test: {text!r} should have {expected} failures and has {failed}")
    if (ROOT / "scratch.txt").exists():
        wrong += 1
        print("self-test: a command wrote into the tree")
    print(f"readme self-test: {len(SELF_TEST)} pages, {wrong} misjudged")
    return 1 if wrong else 0


def main(arguments):
    if "--self-test" in arguments:
        return self_test()
    pages = [a for a in arguments if not a.startswith("--")]
    if len(pages) != 1:
        print(__doc__)
        return 2
    return 1 if check((ROOT / pages[0]).read_text(encoding="utf-8"), ROOT, "--list" in arguments) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
