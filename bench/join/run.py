#!/usr/bin/env python3
"""A member joins: what those who are there notice, how soon it works, how fast messages with it are; beside MPI_Comm_spawn."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness

STALL_MS = 5
ATTACH_MS = 20
LATENCY_RATIO = 1 / 20
# tcp: what Open MPI uses between a spawned process and its parents.
MPIRUN = [*harness.MPIRUN[:-1], "self,vader,tcp"]


def main():
    session = harness.Session("join", __doc__)
    rounds = 2 if session.options.quick else 12
    pflight = [session.program("pflight"), "run", "--local", "--quiet"]
    for members in (1, 2):
        ours, rival = harness.alternate(
            session.repeat(5, 1),
            lambda: samples(session, [*pflight, "-n", members, session.program("bench_join"), rounds]),
            lambda: samples(session, [*MPIRUN, "-n", members, session.program("bench_join_mpi"), "stall", rounds]),
        )
        stall, theirs = (pooled(runs, "stall") for runs in (ours, rival))
        attach = pooled(ours, "attach")
        print(f"{members} member{'s' if members > 1 else ''}, one joins and leaves in each round; steps of {16 * 0.05 / members:.1f} ms")
        print(f"  stall of VNode 0 by a join           {harness.shown(stall, 'ms')}; target {STALL_MS} ms: {met(stall['median'] <= STALL_MS)}")
        print(f"  stall of a rank by MPI_Comm_spawn    {harness.shown(theirs, 'ms')}")
        print(f"  joiner's main to its first step      {harness.shown(attach, 'ms')}; target {ATTACH_MS} ms: {met(attach['median'] <= ATTACH_MS)}")
        session.row(members=members, stall_ms=stall, rival_stall_ms=theirs, attach_ms=attach, target_stall_ms=STALL_MS,
                    target_attach_ms=ATTACH_MS)
    joined, spawned = harness.alternate(
        session.repeat(7, 1),
        lambda: samples(session, [*pflight, "-n", 1, session.program("bench_pingpong"), "joined"]),
        lambda: samples(session, [*MPIRUN, "-n", 1, session.program("bench_join_mpi"), "latency"]),
    )
    ours, theirs = (pooled(runs, "8B", 1e3) for runs in (joined, spawned))
    ratio = ours["median"] / theirs["median"]
    print("8 bytes one way, between one that was there and one that came")
    print(f"  ours, many round trips in a step     {harness.shown(ours, 'us')}")
    print(f"  Open MPI, parent and spawned child   {harness.shown(theirs, 'us')}")
    print(f"  ratio 1/{1 / ratio:.0f}; target 1/20: {met(ratio <= LATENCY_RATIO)}")
    session.row(case="latency", ours_us=ours, rival_us=theirs, ratio=ratio, target=LATENCY_RATIO)
    session.finish()


def met(good):
    return "met" if good else "MISSED"


def samples(session, command):
    """All samples of each case: joiners print one line each."""
    found = {}
    for line in session.run(command)[0].splitlines():
        if line.startswith("{"):
            case = json.loads(line)
            session.check(case["good"], f"case {case['case']} gave a wrong result")
            found.setdefault(case["case"], []).extend(case["ns"])
    return found


def pooled(runs, case, unit=1e6):
    return harness.spread([ns / unit for run in runs for ns in run[case]])


main()
