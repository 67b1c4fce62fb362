#!/usr/bin/env python3
"""`pflight run --between mpi`: results, and what happens when MPI fails in one way or the other.

usage: between_test.py --list | CASE     with PFLIGHT, PLATE, CG, MAKE_MATRIX, TEST_MEMBER and STUCK_MPI in the environment
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "fault"))
from launch_test import PATIENCE, PFLIGHT, job_name, shm_objects, state_of, wait_until

PLATE = os.environ.get("PLATE", "")
CG = os.environ.get("CG", "")
MAKE_MATRIX = os.environ.get("MAKE_MATRIX", "")
MEMBER = os.environ.get("TEST_MEMBER", "")
STUCK_MPI = os.environ.get("STUCK_MPI", "")
SCALE = float(os.environ.get("PHOENIX_TEST_SCALE", "1"))
FIRST_SEED = int(os.environ.get("PHOENIX_TEST_SEED", "1"))
EVERYTHING = "kills=3,joins=4,retires=3,moves=50,ports=2"
# States of VNodes are larger than 1 KiB, so each move goes by MPI once that is up.
BETWEEN = ["--between", "mpi:1K"]
# Long enough for MPI to come up while it runs, and for moves to come after that.
LONG = [PLATE, "--size", "256x256", "--vnodes", "16", "--steps", "10000", "--digest"]
LARGE_MOVES = ["--chaos", "seed=3,moves=200"]


def digest_of(text):
    found = set(re.findall(r"^digest: (\S+)$", text, re.M))
    return found.pop() if len(found) == 1 else f"digests: {sorted(found)}"


def ticks_of(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    fields = stat[stat.rindex(")") + 2:].split()
    return int(fields[11]) + int(fields[12])


class Between(unittest.TestCase):
    def setUp(self):
        self.name = job_name(self._testMethodName[-20:])
        self.folder = tempfile.TemporaryDirectory(prefix="pflight-test-")
        self.addCleanup(self.folder.cleanup)

    def start(self, *words, members=4, nodes=2, environment=None):
        output = open(os.path.join(self.folder.name, "out"), "w+", encoding="utf-8")
        self.addCleanup(output.close)
        errors = open(os.path.join(self.folder.name, "err"), "w+", encoding="utf-8")
        self.addCleanup(errors.close)
        job = subprocess.Popen([PFLIGHT, "run", "-n", str(members), "--emulate-nodes", str(nodes), "--job", self.name, *words],
                               stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env={**os.environ, **(environment or {})})
        self.addCleanup(job.wait, PATIENCE)
        self.addCleanup(job.terminate)
        return job

    def text(self, which="out"):
        return pathlib.Path(self.folder.name, which).read_text(encoding="utf-8")

    def finish(self, job):
        status = job.wait(PATIENCE)
        self.assertEqual(status, 0, self.text("err"))
        self.assertEqual(shm_objects(self.name), [])
        return digest_of(self.text())

    def alone(self, *words):
        done = subprocess.run([PFLIGHT, "run", "-q", "-n", "1", "--local", *words], capture_output=True, text=True, timeout=PATIENCE,
                              check=True)
        return digest_of(done.stdout)

    def routes(self):
        """Routes of all nodes, or nothing while the job is not there."""
        done = subprocess.run([PFLIGHT, "status", "--json", "--job", self.name], capture_output=True, text=True, timeout=PATIENCE,
                              check=False)
        shown = json.loads(done.stdout) if done.returncode == 0 else {}
        return [route for node in shown.get("nodes", []) for route in node["routes"]]

    def wait_for_frames(self, job, count=1):
        wait_until(lambda: job.poll() is not None or sum(route["mpi_frames"] for route in self.routes()) >= count, "frames by MPI")
        self.assertIsNone(job.poll(), self.text("err"))

    def children(self, name):
        """Processes of this job called `name`."""
        mark = f"PHOENIX_JOB={self.name}".encode()
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "comm").read_text().strip() == name and any(
                        word.startswith(mark) for word in (entry / "environ").read_bytes().split(b"\0")):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def test_mpi_carries_what_is_large(self):
        expected = self.alone(*LONG)
        job = self.start(*BETWEEN, *LARGE_MOVES, "--progress", "never", *LONG)
        self.wait_for_frames(job)
        shown = subprocess.run([PFLIGHT, "status", "--job", self.name], capture_output=True, text=True, timeout=PATIENCE, check=True)
        self.assertRegex(shown.stdout, r"routes")
        self.assertRegex(shown.stdout, r"\b[01] mpi\b")
        self.assertEqual(self.finish(job), expected)
        self.assertEqual(self.text("err"), "")

    def test_results_survive_everything(self):
        with open(os.path.join(self.folder.name, "matrix.mtx"), "wb") as matrix:
            subprocess.run([MAKE_MATRIX, "--rows", "40", "--columns", "30"], stdout=matrix, check=True, timeout=PATIENCE)
        for words in ([PLATE, "--size", "96x96", "--vnodes", "12", "--steps", "2000", "--digest"],
                      [CG, "--matrix", os.path.join(self.folder.name, "matrix.mtx"), "--vnodes", "16", "--tolerance", "0",
                       "--max-iterations", "1000", "--digest"]):
            expected = self.alone(*words)
            for seed in range(FIRST_SEED, FIRST_SEED + max(1, round(3 * SCALE))):
                with self.subTest(program=words[0], seed=seed):
                    job = self.start(*BETWEEN, "-q", "--chaos", f"seed={seed},{EVERYTHING}", *words, members=6, nodes=3)
                    self.assertEqual(self.finish(job), expected)

    def test_without_its_mpirun_ports_go_on(self):
        expected = self.alone(*LONG)
        job = self.start(*BETWEEN, *LARGE_MOVES, "--progress", "never", *LONG)
        self.wait_for_frames(job)
        os.kill(self.children("mpirun")[0], signal.SIGKILL)
        self.assertEqual(self.finish(job), expected)
        self.assertIn("MPI does not carry payloads between nodes (mpirun ended with SIGKILL); TCP carries them all.", self.text("err"))

    def test_an_mpirun_that_starts_nothing_is_told_of(self):
        fake = pathlib.Path(self.folder.name, "mpirun")
        fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "mpirun (Open MPI) 4.1.4" && exit 0\nexit 3\n', encoding="utf-8")
        fake.chmod(0o755)
        words = [PLATE, "--size", "96x96", "--vnodes", "8", "--steps", "200", "--digest"]
        job = self.start(*BETWEEN, "--progress", "never", *words, environment={"PATH": f"{self.folder.name}:{os.environ['PATH']}"})
        self.assertEqual(self.finish(job), self.alone(*words))
        self.assertEqual(self.text("err").count("\n"), 1, self.text("err"))
        self.assertIn("(mpirun ended with exit status 3); TCP carries them all.", self.text("err"))

    def test_an_mpi_that_stands_still_costs_nothing_but_time(self):
        words = [PLATE, "--size", "256x256", "--vnodes", "16", "--steps", "30000", "--digest"]
        expected = self.alone(*words)
        job = self.start(*BETWEEN, *LARGE_MOVES, "--progress", "never", *words,
                         environment={"LD_PRELOAD": STUCK_MPI, "STUCK_AFTER": "2000"})
        wait_until(lambda: job.poll() is not None or any(route["withdrawn_frames"] for route in self.routes()),
                   "a frame that MPI was asked for to go over TCP")
        self.assertIsNone(job.poll(), self.text("err"))
        self.assertEqual(self.finish(job), expected)

    def test_a_port_that_dies_at_once_delays_nobody(self):
        """Those in MPI_Init with it may stay there for ever; the node's next port is started at once."""
        words = [PLATE, "--size", "96x96", "--vnodes", "8", "--steps", "2000", "--digest"]
        expected = self.alone(*words)
        seconds = {}
        for where, rank in (("DIES_IN_INIT", "none"), ("DIES_IN_INIT", "0"), ("DIES_IN_INIT", "1"), ("DIES_BEFORE_IT_SERVES", "0"),
                            ("DIES_BEFORE_IT_SERVES", "1")):
            with self.subTest(where=where, rank=rank):
                began = time.monotonic()
                job = self.start(*BETWEEN, "--progress", "never", *words, environment={"LD_PRELOAD": STUCK_MPI, where: rank})
                self.assertEqual(self.finish(job), expected)
                seconds[rank] = time.monotonic() - began
                # An agent waits long for a port that does not come at all; one that has come and died is no such.
                self.assertLess(seconds[rank], 20 * seconds["none"])

    def test_a_killed_port_is_followed_by_one_without_mpi(self):
        expected = self.alone(*LONG)
        job = self.start(*BETWEEN, *LARGE_MOVES, "--progress", "never", *LONG)
        self.wait_for_frames(job)
        os.kill(self.children("pflight-port")[0], signal.SIGKILL)
        wait_until(lambda: job.poll() is not None or [route["by"] for route in self.routes()] == ["tcp", "tcp"], "a new port")
        self.assertEqual(self.finish(job), expected)
        self.assertIn("1 port started anew", self.text("err"))

    def test_an_idle_carrier_uses_no_processor(self):
        done = pathlib.Path(self.folder.name, "done")
        job = self.start(*BETWEEN, MEMBER, "attach", "barrier", f"await={done}", "leave")
        wait_until(lambda: [route["by"] for route in self.routes()] == ["mpi", "mpi"] or job.poll() is not None, "MPI to be up")
        self.assertIsNone(job.poll(), self.text("err"))
        ports = self.children("pflight-port")
        self.assertEqual(len(ports), 2)
        before, began = sum(map(ticks_of, ports)), time.monotonic()
        wait_until(lambda: time.monotonic() > began + 2, "two seconds to measure")
        used = (sum(map(ticks_of, ports)) - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)
        self.assertLess(used / len(ports), 0.2, "share of a processor that a port uses with nothing to do")
        done.touch()
        self.finish_members(job)

    def finish_members(self, job):
        self.assertEqual(job.wait(PATIENCE), 0, self.text("err"))
        self.assertEqual(shm_objects(self.name), [])

    def test_an_interruption_leaves_nothing(self):
        job = self.start(*BETWEEN, "-q", PLATE, "--size", "64x64", "--vnodes", "8", "--steps", "100000000")
        wait_until(lambda: [route["by"] for route in self.routes()] == ["mpi", "mpi"] or job.poll() is not None, "MPI to be up")
        pids = self.children("pflight-port") + self.children("mpirun")
        self.assertEqual(len(pids), 3)
        job.send_signal(signal.SIGINT)
        self.assertEqual(job.wait(PATIENCE), 130)
        for pid in pids:
            self.assertEqual(state_of(pid), "X", f"process {pid} is left")
        self.assertEqual(shm_objects(self.name), [])


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print("\n".join(name for name in dir(Between) if name.startswith("test_")))
    else:
        unittest.main(argv=[sys.argv[0], *(f"Between.{name}" for name in sys.argv[1:])], verbosity=2)
