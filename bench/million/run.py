#!/usr/bin/env python3
"""A domain of a million VNodes: memory of each and time of a step of each, against a plain loop over two arrays."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness


def main():
    session = harness.Session("million", __doc__)
    vnodes = 20_000 if session.options.quick else 1_000_000
    steps = 5
    pflight = session.program("pflight")
    ours = session.program("bench_million")
    members = {1: [], 2: []}
    plain = []

    def side(count):
        command = [pflight, "run", "--local", "-n", count, "--quiet", ours, vnodes, steps]
        return lambda: [json.loads(line) for line in session.run(command)[0].splitlines() if line.startswith("{")]

    def loop():
        return json.loads(session.run([session.program("bench_million_loop"), vnodes, steps])[0])

    members[1], members[2], plain = harness.alternate(session.repeat(3, 1), side(1), side(2), loop)
    theirs = harness.spread([run["step_ns"] for run in plain])
    print(f"{vnodes} VNodes, a field of one 64-bit word in two buffers; a step that does not wait")
    print(f"  plain loop                 {harness.shown(theirs, 'ns')} per cell and step, 16 bytes per cell")
    for count, runs in members.items():
        sums = {line["sum"] for run in runs for line in run if "sum" in line}
        session.check(sums == {plain[0]["sum"]}, f"{count} members: sums {sums}, the plain loop has {plain[0]['sum']}")
        reports = [[line for line in run if "member" in line] for run in runs]
        figures = {key: harness.spread([max(report[key] for report in reports_of_run) for reports_of_run in reports])
                   for key in ("initialise_ns", "once_ns", "step_ns")}
        shared = harness.spread([max(report["shared_bytes"] for report in run) for run in reports])
        own = harness.spread([sum(report["own_bytes"] for report in run) for run in reports])
        ratio = figures["step_ns"]["median"] / theirs["median"]
        print(f"  ours, {count} member{'s' if count > 1 else ' '}            {harness.shown(figures['step_ns'], 'ns')} per VNode and step, "
              f"ratio {ratio:.0f}; first step after the start {figures['once_ns']['median']:.0f} ns")
        print(f"    memory per VNode           {shared['median']:.0f} bytes shared, {own['median']:.0f} private (all members together)")
        session.row(members=count, vnodes=vnodes, step_ns=figures["step_ns"], once_ns=figures["once_ns"],
                    initialise_ns=figures["initialise_ns"], shared_bytes=shared, private_bytes=own, rival_step_ns=theirs, ratio=ratio)
    session.finish()


main()
