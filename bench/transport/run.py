#!/usr/bin/env python3
"""Frames between two hubs on this machine, against one bare TCP connection with blocking calls."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness

BYTES = {"1MiB": 1 << 20, "256MiB": 256 << 20}
CHECKED = "256MiB checked"


def main():
    session = harness.Session("transport", __doc__)
    program = session.program("bench_transport")
    ours, rival = harness.alternate(
        session.repeat(5, 1),
        lambda: session.cases([program, "ours"]),
        lambda: session.cases([program, "sockets"]),
    )
    for case in rival[0]:
        figures = [pooled(runs, case) for runs in (ours, rival)]
        ratio = figures[0]["median"] / figures[1]["median"]
        print(f"  {case}: {'time of a frame, GB/s at the median' if case in BYTES else 'one way'}")
        for name, side in zip(("ours", "bare sockets"), figures):
            rate = f"  {BYTES[case] / side['median']:.2f} GB/s" if case in BYTES else ""
            print(f"    {name:<14}{harness.shown(scaled(side), 'us')}{rate}")
        print(f"    ratio {ratio:.2f}")
        session.row(case=case, ours_ns=figures[0], rival_ns=figures[1], ratio=ratio)
    checked, plain = pooled(ours, CHECKED), pooled(ours, "256MiB")
    print(f"  {CHECKED}, ours: a digest of every piece travels with it")
    print(f"    {harness.shown(scaled(checked), 'us')}  {BYTES['256MiB'] / checked['median']:.2f} GB/s")
    print(f"    ratio to one that is not {checked['median'] / plain['median']:.2f}")
    session.row(case=CHECKED, ours_ns=checked, ratio=checked["median"] / plain["median"])
    session.finish()


def scaled(figures):
    """Microseconds."""
    return {key: value / 1000 if key != "count" else value for key, value in figures.items()}


def pooled(runs, case):
    """Median over the samples of all runs; the spread is that of the runs' own medians."""
    figures = harness.spread([harness.spread(run[case]["ns"])["median"] for run in runs])
    figures["median"] = harness.spread([ns for run in runs for ns in run[case]["ns"]])["median"]
    return figures


main()
