"""What all workloads share: running two sides in turn, figures with their spread, JSON, the command line."""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MPIRUN = ["mpirun", "--oversubscribe", "--bind-to", "none", "--mca", "pml", "ob1", "--mca", "btl", "self,vader"]


class Session:
    """One run of one workload: its options, its results, where they are kept."""

    def __init__(self, workload, description):
        parser = argparse.ArgumentParser(prog=f"bench/{workload}/run.py", description=description)
        parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin", help="where the programs are")
        parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench", help="where the JSON goes")
        parser.add_argument("--repeat", type=int, default=0, help="runs of each side (0: as the workload thinks fit)")
        parser.add_argument("--quick", action="store_true", help="small and few: to see that it runs")
        parser.add_argument("--prefix", default="", help="put before every command of both sides, e.g. 'nice -n -10'")
        self.options = parser.parse_args()
        self.workload = workload
        self.result = {
            "workload": workload,
            "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "machine": {"cores": os.cpu_count(), "cpu": cpu_name(), "kernel": platform.release()},
            "load_before": os.getloadavg(),
            "prefix": self.options.prefix,
            "rows": [],
        }
        self.good = True

    def repeat(self, usual, quick):
        return self.options.repeat or (quick if self.options.quick else usual)

    def program(self, name):
        path = self.options.bin / name
        if not path.exists():
            sys.exit(f"bench: {path} is missing; build it with ./dev build {name}")
        return str(path)

    def run(self, command, timeout=600):
        """Standard output and standard error of a command that must succeed."""
        words = shlex.split(self.options.prefix) + [str(word) for word in command]
        environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, env=environment, check=False)
        if done.returncode != 0:
            sys.exit(f"bench: {shlex.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout, done.stderr

    def cases(self, command, timeout=600):
        """Lines of JSON that a program of ours printed, by case; a wrong result ends the benchmark's good standing."""
        found = {}
        for line in self.run(command, timeout)[0].splitlines():
            if line.startswith("{"):
                case = json.loads(line)
                found[case["case"]] = case
                self.check(case["good"], f"{shlex.join(map(str, command))}: case {case['case']} gave a wrong result")
        return found

    def check(self, good, sentence):
        if not good:
            self.good = False
            print(f"WRONG: {sentence}")

    def row(self, **fields):
        self.result["rows"].append(fields)

    def finish(self):
        self.result["load_after"] = os.getloadavg()
        self.result["good"] = self.good
        self.options.out.mkdir(parents=True, exist_ok=True)
        path = self.options.out / f"{self.workload}.json"
        path.write_text(json.dumps(self.result, indent=1) + "\n")
        load = self.result["load_before"][0]
        print(f"results {'right' if self.good else 'WRONG'}; load before {load:.1f} on {os.cpu_count()} cores; kept in {path}")
        sys.exit(0 if self.good else 1)


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def spread(values):
    """min, median and max."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values), "count": len(values)}


def shown(figures, unit):
    """'median unit (min .. max)' of a spread."""
    digits = 2 if figures["median"] < 10 else 1 if figures["median"] < 1000 else 0
    return f"{figures['median']:.{digits}f} {unit} ({figures['min']:.{digits}f} .. {figures['max']:.{digits}f})"


def alternate(count, *sides):
    """Calls each side in turn, `count` times; the results of each as a list."""
    results = [[] for _ in sides]
    for turn in range(count):
        # Who comes first changes, so that a machine that slows down or warms up favours nobody.
        order = range(len(sides)) if turn % 2 == 0 else reversed(range(len(sides)))
        for side in order:
            results[side].append(sides[side]())
    return results
