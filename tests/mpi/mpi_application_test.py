#!/usr/bin/env python3
"""An application that uses MPI itself ends well under `pflight run --mpi` when ranks die, and under a plain mpirun.

usage: mpi_application_test.py --pflight PROGRAM --application PROGRAM
"""

import argparse
import os
import signal
import subprocess
import sys

TIMEOUT_S = 60


def end_started(mark):
    """Ends what carries `mark` in its environment: mpirun and its ranks are in process groups of their own."""
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/environ", "rb") as environment:
                if mark.encode() in environment.read().split(b"\0"):
                    os.kill(int(entry), signal.SIGKILL)
        except (OSError, ValueError):
            continue  # no process, not ours, or ended meanwhile


def run(command):
    mark = f"PHOENIX_TEST_RUN=mpi-application-{os.getpid()}"
    process = subprocess.Popen(["env", mark, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               stdin=subprocess.DEVNULL)
    try:
        out, _ = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        end_started(mark)
        out, _ = process.communicate()
        sys.exit(f"{' '.join(command)} hung\n{out}")
    if process.returncode != 0 or "steps: 50, sum of ranks: 6" not in out:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}\n{out}")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pflight", required=True)
    parser.add_argument("--application", required=True)
    options = parser.parse_args()
    members = [options.pflight, "run", "-n", "4", "--mpi", "--quiet"]
    for faults in ([], ["--fault", "kill:1@10"], ["--fault", "kill:0@5", "--fault", "kill:2@20", "--fault", "kill:3@40"]):
        run([*members, *faults, options.application])
    # Deaths just before the end, where MPI's own finalize hangs now and then: about one in twenty.
    for _ in range(max(1, round(10 * float(os.environ.get("PHOENIX_TEST_SCALE", "1"))))):
        run([*members, "--fault", "kill:coordinator@49", options.application])
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    out = run(["mpirun", "-n", "4", "--oversubscribe", options.application])
    if "exited improperly" in out or "exiting improperly" in out:
        sys.exit(f"under a plain mpirun MPI was not finalised\n{out}")


main()
