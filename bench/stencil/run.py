#!/usr/bin/env python3
"""A step of plate against the same stencil written by hand with MPI; the results must be the same bits."""

import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness


def main():
    session = harness.Session("stencil", __doc__)
    size, steps = (256, 20) if session.options.quick else (2000, 100)
    digests = set()

    def ours(members, vnodes):
        command = [session.program("pflight"), "run", "--local", "--timeline", "-n", members, session.program("plate"),
                   "--size", f"{size}x{size}", "--vnodes", vnodes, "--steps", steps, "--digest"]

        def run():
            text = "".join(session.run(command))
            digests.add(re.search(r"digest: (\w+)", text).group(1))
            ends = {int(phase): float(time) for time, phase in re.findall(r"([\d.]+) s  domain 0: phase (\d+) is finished", text)}
            return (ends[2] - ends[1]) * 1e3 / steps

        return run

    def rival(ranks, *more):
        command = harness.MPIRUN + list(more) + ["-n", ranks, session.program("bench_stencil_mpi"), size, size, steps]

        def run():
            told = json.loads(session.run(command)[0])
            digests.add(told["digest"])
            return told["step_ms"]

        return run

    sides = {
        "MPI by hand, 2 ranks": rival(2),
        "MPI by hand, 8 ranks, yielding": rival(8, "--mca", "mpi_yield_when_idle", "1"),
        "ours, 2 members, V = 2": ours(2, 2),
        "ours, 2 members, V = 16": ours(2, 16),
        "ours, 2 members, V = 64": ours(2, 64),
        "ours, 8 members, V = 16": ours(8, 16),
        "ours, 8 members, V = 64": ours(8, 64),
    }
    runs = dict(zip(sides, harness.alternate(session.repeat(7, 1), *sides.values())))
    figures = {name: harness.spread(values) for name, values in runs.items()}
    print(f"plate {size}x{size}, {steps} steps; time of a step, ratio to MPI with as many processes")
    for name, figure in figures.items():
        text = f"  {name:<32}{harness.shown(figure, 'ms')}"
        ratio = None
        if name.startswith("ours"):
            other = figures["MPI by hand, 2 ranks" if "2 members" in name else "MPI by hand, 8 ranks, yielding"]
            ratio = figure["median"] / other["median"]
            text += f"  ratio {ratio:.2f}"
        print(text)
        session.row(what=name, step_ms=figure, ratio=ratio)
    session.check(len(digests) == 1, f"digests differ: {digests}")
    session.finish()


main()
