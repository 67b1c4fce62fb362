"""pflight selftest: all good while everything moves; every planted fault is found and named.

usage: selftest_test.py --list | CASE     with PFLIGHT in the environment
PHOENIX_TEST_SCALE multiplies the number of messages, PHOENIX_TEST_SEED is the first seed (default 1).
"""

import json
import os
import re
import subprocess
import sys
import unittest

from launch_test import PFLIGHT, job_name, shm_objects

SCALE = float(os.environ.get("PHOENIX_TEST_SCALE", "1"))
FIRST_SEED = int(os.environ.get("PHOENIX_TEST_SEED", "1"))
PATIENCE = 600  # met only by a hang
FAULTS = ("lost", "duplicated", "reordered", "damaged")


class Messages(unittest.TestCase):
    def run_test(self, *words):
        job = subprocess.Popen([PFLIGHT, "selftest", "messages", "--job", self.name, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        try:
            out, err = job.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            job.terminate()
            out, err = job.communicate(timeout=PATIENCE)
            self.fail(f"hangs: {out}{err}")
        return subprocess.CompletedProcess(words, job.returncode, out, err)

    def good(self, messages, *words):
        done = self.run_test("-q", "--json", "--messages", str(messages), *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertTrue(result["good"])
        self.assertGreaterEqual(result["messages"], messages)
        self.assertEqual([result[fault] for fault in FAULTS], [0, 0, 0, 0])

    def test_nothing_is_lost_on_one_node(self):
        self.good(max(200000, round(1000000 * SCALE)), "--seed", str(FIRST_SEED))

    def test_nothing_is_lost_on_several_nodes(self):
        for seed in range(FIRST_SEED, FIRST_SEED + max(1, round(3 * SCALE))):
            with self.subTest(seed=seed):
                self.good(300000, "--emulate-nodes", "3", "--seed", str(seed))

    def test_members_really_come_and_go(self):
        done = self.run_test("--timeline", "--messages", "1000000")
        self.assertEqual(done.returncode, 0, done.stderr)
        for what in ("killed as planned", "retire", "joiner|join", "recovered"):
            self.assertRegex(done.stderr, what)

    def test_the_same_messages_without_disturbance(self):
        calm = self.run_test("--calm", "--timeline", "--messages", "100000", "--json")
        self.assertEqual(calm.returncode, 0, calm.stderr)
        self.assertNotRegex(calm.stderr, "died|retire|joined by")
        disturbed = self.run_test("--messages", "100000", "--json")
        self.assertEqual(json.loads(calm.stdout)["bytes"], json.loads(disturbed.stdout)["bytes"])

    def test_what_is_planted_is_found_and_named(self):
        for plant, fault in zip(("lose", "duplicate", "reorder", "damage"), FAULTS, strict=True):
            for nodes in ("1", "2"):
                with self.subTest(plant=plant, nodes=nodes):
                    done = self.run_test("-q", "--json", "--messages", "60000", "--plant", plant, "--emulate-nodes", nodes)
                    self.assertEqual(done.returncode, 1, done.stdout)
                    result = json.loads(done.stdout)
                    self.assertFalse(result["good"])
                    self.assertEqual({name: result[name] for name in FAULTS}, {name: int(name == fault) for name in FAULTS})
                    self.assertEqual((result["first"]["fault"], result["first"]["source"], result["first"]["tag"]), (fault, 1, 0))

    def test_people_read_sentences(self):
        done = self.run_test("-q", "--messages", "60000", "--plant", "damage")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"^6\d{4} messages \(.* GB\) in 4096 streams between 32 VNodes, 30 steps, .* s: 0 lost, 0 "
                         r"duplicated, 0 reordered, 1 damaged\.\nThe first that was wrong: message \d+ from VNode 1 to VNode \d+ with "
                         r"tag 0 was damaged\.\n$")

    def test_mistakes_are_refused_in_a_sentence(self):
        for words, sentence in ((["--messages", "0"], "--messages 0: a number from 1 to .* is expected"),
                                (["--vnodes", "1"], "--vnodes 1: a number from 2 to 1024"), (["--seed", "x"], "--seed x: a number"),
                                (["-n", "300"], "-n 300: a job has 1 to 256 members"),
                                (["--emulate-nodes", "9", "-n", "4"], "--emulate-nodes 9: each node needs a member")):
            done = self.run_test(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
            self.assertTrue(re.match(rf"pflight: {sentence}", done.stderr), done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)

    def setUp(self):
        self.name = job_name(self._testMethodName[-20:])

    def tearDown(self):
        self.assertEqual(shm_objects(self.name), [], "nothing may be left in /dev/shm")


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(f"Messages.{name}" for name in dir(Messages) if name.startswith("test_")))
        return 0
    suite = unittest.defaultTestLoader.loadTestsFromNames([f"selftest_test.{name}" for name in sys.argv[1:]])
    return 0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
