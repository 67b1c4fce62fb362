#!/usr/bin/env python3
"""Hand-over of a VNode of 256 MiB: what it costs it within a node, and between two nodes beside the bare transport."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness

STALL_MS = 1
BANDWIDTH_RATIO = 0.8


def main():
    session = harness.Session("handover", __doc__)
    mebibytes, steps = (16, 12) if session.options.quick else (256, 40)
    program = [session.program("bench_handover"), mebibytes, steps]
    pflight = [session.program("pflight"), "run", "--local", "--quiet", "-n", 2]
    moved, still = harness.alternate(
        session.repeat(5, 1),
        lambda: periods(session, [*pflight, "--always-move", *program, "full"]),
        lambda: periods(session, [*pflight, *program, "full"]),
    )
    usual, with_move = (harness.spread([statistics.median(run["stay" if run["stay"] else "move"]) for run in runs]) for runs in (still, moved))
    stalls = harness.spread([statistics.median(a["move"]) - statistics.median(b["stay"]) for a, b in zip(moved, still, strict=True)])
    firsts = harness.spread([max(run["move"][:2]) - statistics.median(b["stay"]) for run, b in zip(moved, still, strict=True)])
    print(f"VNode with a two-buffer field of {mebibytes} MiB, each step reads and writes all of it, 2 members")
    print(f"  step, start to start, at rest          {harness.shown(usual, 'ms')}")
    print(f"  the same, moved at every step          {harness.shown(with_move, 'ms')}")
    print(f"  cost of a move, next step counted in   {harness.shown(stalls, 'ms')}; target {STALL_MS} ms: {met(stalls['median'] <= STALL_MS)}")
    print(f"  the dearer of its first two moves      {harness.shown(firsts, 'ms')}")
    session.row(case="node", step_ms=usual, moved_step_ms=with_move, stall_ms=stalls, first_ms=firsts, target_ms=STALL_MS)

    between, bare = harness.alternate(
        session.repeat(5, 1),
        lambda: moved_between_nodes(session, [*program[:2], 50 * steps, "light"]),
        lambda: session.cases([session.program("bench_transport"), "ours"])["256MiB"]["ns"],
    )
    times = harness.spread([ms for run in between for ms in run])
    ours = mebibytes * (1 << 20) / (times["median"] * 1e-3) / 1e9
    theirs = (256 << 20) / statistics.median([ns for run in bare for ns in run])
    print(f"between two nodes on this machine, {times['count']} moves")
    print(f"  last step there to first step here     {harness.shown(times, 'ms')}: {ours:.2f} GB/s")
    print(f"  a frame of 256 MiB, bare transport     {theirs:.2f} GB/s")
    print(f"  ratio {ours / theirs:.2f}; target {BANDWIDTH_RATIO}: {met(ours / theirs >= BANDWIDTH_RATIO)}")
    session.row(case="nodes", move_ms=times, gigabytes_per_s=ours, transport_gigabytes_per_s=theirs, ratio=ours / theirs,
                target=BANDWIDTH_RATIO)
    session.finish()


def met(good):
    return "met" if good else "MISSED"


def moved_between_nodes(session, program):
    """Runs it on two nodes and moves VNode 0 to and fro as long as it runs."""
    pflight, name = session.program("pflight"), f"bench-handover-{os.getpid()}"
    command = [pflight, "run", "--quiet", "--job", name, "-n", "2", "--emulate-nodes", "2", *map(str, program)]
    with tempfile.TemporaryFile("w+") as output, subprocess.Popen(command, stdout=output) as job:
        target = 1
        while job.poll() is None:
            moved = subprocess.run([pflight, "move", "--job", name, "0", f"{target}.0"], capture_output=True, text=True, check=False)
            target = 1 - target if moved.returncode == 0 else target
        session.check(job.returncode == 0, f"{command} ended with {job.returncode}")
        output.seek(0)
        return periods_of(json.loads(output.read()), full=False)["move"]


def periods(session, command):
    return periods_of(session.cases(command)["steps"], full=True)


def periods_of(case, full):
    """Milliseconds of VNode 0, by whether the process changed: from start to start of its steps if they take all of the
    field, else from the end of one to the start of the next."""
    marks = case["marks"]
    found = {"move": [], "stay": []}
    for before, after in zip(marks, marks[1:]):
        # The step that comes after a move is the one that pays for it, so it is counted in.
        time = after[1] - before[1] if full else after[0] - before[1]
        found["stay" if before[2] == after[2] else "move"].append(time / 1e6)
    return found


main()
