#!/usr/bin/env python3
"""Death of a member to the first repeated step, plate with 64 MiB of state; and what a death costs in all."""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness

TARGET_MS = 10
STEPS = 60
KILL_AT = 30


def main():
    session = harness.Session("recovery", __doc__)
    size = 512 if session.options.quick else 2048
    plate = [session.program("plate"), "--size", f"{size}x{size}", "--vnodes", 64, "--steps", STEPS, "--digest"]
    pflight = [session.program("pflight"), "run", "--local", "--timeline"]
    digests = set()
    for members in (2, 4):
        killed = pflight + ["-n", members, "--fault", f"kill:1@{KILL_AT}"] + plate
        disturbed, before, after = harness.alternate(
            session.repeat(11, 1),
            lambda: told(session, killed, digests),
            lambda: told(session, pflight + ["-n", members] + plate, digests),
            lambda: told(session, pflight + ["-n", members - 1] + plate, digests),
        )
        times = harness.spread([run["recovery_ms"] for run in disturbed])
        step, step_after = (harness.spread([run["steps_ms"] / STEPS for run in runs]) for runs in (before, after))
        # What the same steps take undisturbed: the first ones by all members, the others by those that are left.
        expected = KILL_AT * step["median"] + (STEPS - KILL_AT) * step_after["median"]
        lost = harness.spread([run["steps_ms"] - expected for run in disturbed])
        verdict = "met" if times["median"] <= TARGET_MS else "MISSED"
        print(f"plate {size}x{size} (64 VNodes, {2 * size * size * 8 >> 20} MiB of state), {members} members, one killed at step {KILL_AT}")
        print(f"  death to the first repeated step   {harness.shown(times, 'ms')}; target {TARGET_MS} ms: {verdict}")
        print(f"  undisturbed step, {members} members       {harness.shown(step, 'ms')}; {members - 1}: {harness.shown(step_after, 'ms')}")
        print(f"  lost in all by the death           {harness.shown(lost, 'ms')} = {lost['median'] / step['median']:.1f} undisturbed steps")
        session.row(members=members, recovery_ms=times, step_ms=step, step_after_ms=step_after, lost_ms=lost, target_ms=TARGET_MS,
                    met=times["median"] <= TARGET_MS)
    session.check(len(digests) == 1, f"digests differ: {digests}")
    session.finish()


def told(session, command, digests):
    """Times from the timeline of one run."""
    output, timeline = session.run(command)
    text = output + timeline
    digests.add(re.search(r"digest: (\w+)", text).group(1))
    ends = {int(phase): float(time) for time, phase in re.findall(r"([\d.]+) s  domain 0: phase (\d+) is finished", text)}
    recovery_ms = None
    if "--fault" in command:
        summary = re.search(r"1 member lost, \d+ VNodes recovered; from death to the first repeated step: ([\d.]+) ms", text)
        session.check(summary, f"no single recovery is told:\n{timeline}")
        recovery_ms = float(summary.group(1))
        # The two events themselves, to a tenth of a millisecond.
        died = float(re.search(r"([\d.]+) s  member \d+ is killed as planned", text).group(1))
        repeated = float(re.search(r"([\d.]+) s  member \d+ repeats step", text).group(1))
        session.check(abs((repeated - died) * 1e3 - recovery_ms) < 0.25, f"{recovery_ms} ms is not {died} s to {repeated} s")
    return {"steps_ms": (ends[2] - ends[1]) * 1e3, "recovery_ms": recovery_ms}


main()
