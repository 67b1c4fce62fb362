#!/usr/bin/env python3
"""Messages between two members, one way, against MPI between two ranks."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness

TARGET = 0.7


def main():
    session = harness.Session("pingpong", __doc__)
    pflight = [session.program("pflight"), "run", "--local", "-n", 2, "--quiet", session.program("bench_pingpong")]
    rival = harness.MPIRUN + ["-n", 2, session.program("bench_pingpong_mpi")]
    inside, steps, mpi = harness.alternate(
        session.repeat(7, 1),
        lambda: session.cases(pflight + ["inside"]),
        lambda: session.cases(pflight + ["steps"]),
        lambda: session.cases(rival),
    )
    print("one way, ns: median of all samples (min .. max of the runs' medians)")
    for case in mpi[0]:
        theirs = pooled(mpi, case)
        print(f"  {case}")
        print(f"    Open MPI, shared memory            {harness.shown(theirs, 'ns')}")
        for name, runs in (("many round trips in a step", inside), ("one round trip per step", steps)):
            ours = pooled(runs, case)
            ratio = ours["median"] / theirs["median"]
            print(f"    ours, {name:<29}{harness.shown(ours, 'ns')}  ratio {ratio:.2f}")
            session.row(case=case, way=name, ours_ns=ours, rival_ns=theirs, ratio=ratio)
            if case == "8B" and runs is inside:
                verdict = "met" if ratio <= TARGET else "MISSED"
                print(f"    target for this one: ratio at most {TARGET}: {verdict}")
                session.row(case=case, target=TARGET, met=ratio <= TARGET)
    session.finish()


def pooled(runs, case):
    """Median over the samples of all runs; the spread is that of the runs' own medians."""
    medians = [harness.spread(run[case]["ns"])["median"] for run in runs]
    figures = harness.spread(medians)
    figures["median"] = harness.spread([ns for run in runs for ns in run[case]["ns"]])["median"]
    figures["fastest_sample"] = min(ns for run in runs for ns in run[case]["ns"])
    return figures


main()
