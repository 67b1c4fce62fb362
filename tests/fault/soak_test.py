"""Members that come and go for as long as a job runs: their slots are used again, and nothing grows.

usage: soak_test.py --list | CASE     with PFLIGHT and PLATE in the environment
PHOENIX_TEST_SCALE multiplies the number of joins (60).
"""

import contextlib
import math
import os
import pathlib
import signal
import struct
import subprocess
import sys
import unittest

from commands_test import CommandTest, pflight
from launch_test import PATIENCE, state_of, wait_until

PLATE = os.environ.get("PLATE", "")
SCALE = float(os.environ.get("PHOENIX_TEST_SCALE", "1"))
JOINS = max(60, math.ceil(60 * SCALE))
AT_ONCE = 6
STEPS_PER_JOIN = 6000
# memory/arena.hpp and extent_pool.hpp
EXTENT_TABLE_BEGIN, EXTENT_SIZE = 65536, 24
EXTENT_TABLE_END = EXTENT_TABLE_BEGIN + EXTENT_SIZE * 2**26
CACHED, LEAVING = 2, 3


def plate(steps):
    return [PLATE, "--size", "32x32", "--vnodes", "8", "--steps", str(steps), "--digest"]


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def segment_of(job):
    path = next(path for path in pathlib.Path("/dev/shm").iterdir() if path.name.endswith(f".{job}"))
    return path.read_bytes()


def slots_given_back(job):
    """Whether nobody has left whose slot is not free yet. MemberRecord::standing, see memory/layout.hpp."""
    segment = segment_of(job)
    return all(segment[16384 + 320 * slot + 64] != LEAVING for slot in range(256))


def arena_of(pid):
    """The memory of the job that the process belongs to, opened for reading."""
    folder = pathlib.Path(f"/proc/{pid}/fd")
    return open(next(path for path in folder.iterdir() if "phoenix-arena" in os.readlink(path)), "rb")


class Sample:
    """What a job uses while nobody but the survivors is there."""

    def __init__(self, job, pids):
        arena_end, self.extents = struct.unpack_from("<QI", segment_of(job), 128)  # ControlHeader, memory/layout.hpp
        self.arena_kib = (arena_end - EXTENT_TABLE_END) >> 10
        with arena_of(pids[-1]) as file:
            file.seek(EXTENT_TABLE_BEGIN)
            table = file.read((self.extents + 1) * EXTENT_SIZE)
        owners = [struct.unpack_from("<Q", table, EXTENT_SIZE * index)[0] for index in range(1, self.extents + 1)]
        self.in_use = sum((owner & 15) > CACHED for owner in owners)
        self.cached = sum((owner & 15) == CACHED for owner in owners)
        self.descriptors = {pid: descriptors(pid) for pid in pids}
        self.threads = {pid: len(os.listdir(f"/proc/{pid}/task")) for pid in pids}
        self.private_kib = {pid: self.private(pid) for pid in pids}

    @staticmethod
    def private(pid):
        status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))

    def __str__(self):
        return (f"arena {self.arena_kib} KiB, {self.extents} extents, {self.in_use} in use, {self.cached} kept; by process: {list(self.descriptors.values())} descriptors, "
                f"{list(self.threads.values())} threads, {list(self.private_kib.values())} KiB of its own")


class Soak(CommandTest):
    def setUp(self):
        super().setUp()
        self.survivors = {}  # slot -> pid
        self.deaths = 0

    def test_members_come_and_go_for_ever(self):
        self.soak(deadly=False)

    def test_members_come_and_go_and_some_die(self):
        self.soak(deadly=True)

    def soak(self, deadly):
        steps = JOINS * STEPS_PER_JOIN
        while not self.come_and_go(steps, deadly):
            print(f"the job of {steps} steps was over too early", flush=True)
            steps *= 2

    def come_and_go(self, steps, deadly):
        """False if the job was over before all had come and gone."""
        alone = subprocess.run(plate(steps), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
                               timeout=30 * PATIENCE * max(SCALE, 1))
        job = self.start(plate(steps), members=3)
        self.deaths = 0
        # The oldest goes first: somebody else must know how to go on with the slots of those that have left.
        self.good("retire", next(slot for slot, member in self.members().items() if member["coordinator"]))
        self.survivors = {slot: member["pid"] for slot, member in self.members().items() if member["state"] == "active"}
        watched = [*self.survivors.values(), job.pid]
        warm, joins = None, 0
        while joins < JOINS and self.one_round(job, deadly):
            joins += AT_ONCE
            if warm is None and joins >= 0.6 * JOINS:
                warm = self.sample(watched), len(self.members())
        if joins >= JOINS:
            self.compare(*warm, self.sample(watched), joins)
        status = job.wait(30 * PATIENCE * max(SCALE, 1))
        said = pathlib.Path(self.output_of(self.name)).read_text(encoding="utf-8")
        self.assertEqual((status, said), (0, alone.stdout))
        self.assert_nothing_left()
        return joins >= JOINS

    def one_round(self, job, deadly):
        """Some join, take their share and retire, or one of them dies. False if the job ended meanwhile."""
        joined = pflight("join", "-n", AT_ONCE, "--job", self.name)
        newcomers = {slot: member["pid"] for slot, member in self.members().items()
                     if member["state"] == "active" and slot not in self.survivors}
        if joined.returncode != 0 or not newcomers:
            job.wait(PATIENCE)
            return False
        self.pids |= set(newcomers.values())
        # Now and then only: slots of the dead are not used again.
        victim = min(newcomers.values()) if deadly and self.deaths < 30 else None
        self.deaths += 1 if victim else 0
        for pid in newcomers.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if pid == victim else signal.SIGTERM)
        wait_until(lambda: all(state_of(pid) == "X" for pid in newcomers.values()), "the newcomers to leave")
        self.pids -= set(newcomers.values())
        return job.poll() is None

    def sample(self, watched):
        wait_until(lambda: self.states().count("active") == len(self.survivors) and slots_given_back(self.name),
                   "the survivors to be alone")
        sample = Sample(self.name, watched)
        print(sample, flush=True)
        return sample

    def compare(self, warm, warm_slots, end, joins):
        members = self.members().values()
        print(f"{joins} joins in {len(members)} slots, {max(member['incarnation'] for member in members)} in one of them; "
              f"{self.deaths} deaths", flush=True)
        self.assertGreaterEqual(sum(member["incarnation"] for member in members), joins + 3, "all have been members")
        # What has just left is not given back yet when others come; how many that are depends on how fast things go.
        self.assertLessEqual(len(members), 1.5 * warm_slots + self.deaths)
        self.assertEqual([member["state"] for member in members].count("failed"), self.deaths)
        for pid, count in warm.descriptors.items():
            wait_until(lambda pid=pid, count=count: descriptors(pid) <= count, f"process {pid} to close its descriptors")
        self.assertEqual(end.threads, warm.threads)
        self.assertLessEqual(end.in_use, warm.in_use + 8, "extents; a log has one more or less by chance")
        self.assertLessEqual(end.arena_kib, 1.5 * warm.arena_kib)
        for pid, private in warm.private_kib.items():
            self.assertLessEqual(end.private_kib[pid], 1.1 * private)


def main():
    loader = unittest.defaultTestLoader
    if sys.argv[1:] == ["--list"]:
        for name in loader.getTestCaseNames(Soak):
            print(f"Soak.{name}")
        return 0
    result = unittest.TextTestRunner(verbosity=2).run(loader.loadTestsFromName(sys.argv[1], sys.modules[__name__]))
    return 0 if result.wasSuccessful() and result.testsRun > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
