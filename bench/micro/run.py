#!/usr/bin/env python3
"""The runtime's smallest parts with Google Benchmark, each beside what one would use without it."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness

PAIRS = [
    ("directory_lookup", "directory_lookup_rival_hash_map", "owner of a random VNode of 10^5 / oneTBB hash map"),
    ("ring_owner", "ring_owner_rival_map", "owner of a VNode on a ring of 16 members / std::map of the points"),
    ("plan_of_a_join/1", "plan_of_a_join/0", "plan of moves when a 17th member comes, 10^6 VNodes: ring / block"),
    ("plan_of_a_join/2", "plan_of_a_join/0", "plan of moves when a 17th member comes, 10^6 VNodes: topology / block"),
    ("fiber_switch", "fiber_switch_rival_swapcontext", "into a fiber and back / swapcontext"),
    ("commit_by_flip/4096/iterations:20000", "commit_rival_memcpy/4096", "a whole step, 4 KiB in two buffers, commit by flip / memcpy of the part"),
    ("commit_by_copy/4096/iterations:20000", "commit_rival_memcpy/4096", "a whole step, 4 KiB changed in place / memcpy of the part"),
    ("commit_by_flip/1048576/iterations:20000", "commit_rival_memcpy/1048576", "a whole step, 1 MiB in two buffers, commit by flip / memcpy of the part"),
    ("commit_by_copy/1048576/iterations:20000", "commit_rival_memcpy/1048576", "a whole step, 1 MiB changed in place / memcpy of the part"),
    ("extent_allocate_free/1024", "extent_rival_malloc/1024", "allocate and free an extent of 1 KiB / malloc and free"),
    ("extent_allocate_free/65536", "extent_rival_malloc/65536", "allocate and free an extent of 64 KiB / malloc and free"),
]


def main():
    session = harness.Session("micro", __doc__)
    repetitions = session.repeat(7, 2)
    # Random interleaving: the repetitions of all of them take turns.
    output, _ = session.run([session.program("bench_micro"), "--benchmark_format=json", f"--benchmark_repetitions={repetitions}",
                             "--benchmark_min_time=0.05", "--benchmark_enable_random_interleaving=true"])
    times = {}
    for run in json.loads(output)["benchmarks"]:
        session.check(not run.get("error_occurred"), f"{run['name']}: {run.get('error_message')}")
        if run.get("run_type") == "iteration":
            times.setdefault(run["run_name"], []).append(run["real_time"])
    for ours_name, rival_name, what in PAIRS:
        ours, rival = harness.spread(times[ours_name]), harness.spread(times[rival_name])
        print(f"  {what}\n    {harness.shown(ours, 'ns')} / {harness.shown(rival, 'ns')}  ratio {ours['median'] / rival['median']:.2f}")
        session.row(what=what, ours_ns=ours, rival_ns=rival, ratio=ours["median"] / rival["median"])
    session.finish()


main()
