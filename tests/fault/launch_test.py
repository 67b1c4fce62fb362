"""Drives the real pflight with a member program that needs no runtime (tests/support/test_member.cpp).

usage: launch_test.py --list | CASE     with PFLIGHT and TEST_MEMBER in the environment
A case that cannot run here exits with 77 and says why.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PFLIGHT = os.environ.get("PFLIGHT", "")
MEMBER = os.environ.get("TEST_MEMBER", "")
# Far beyond anything seen: only a hang meets it, and then the test has failed. It never decides what is right.
PATIENCE = 40


def job_name(case):
    return f"t{os.getpid()}-{case}"[:40]


def shm_objects(name):
    return [entry.name for entry in pathlib.Path("/dev/shm").iterdir() if f".{name}" in entry.name]


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE} s for: {what}")
        time.sleep(0.01)


def state_of(pid):
    """State letter of a process; 'X' if it is gone (a zombie whose parent has not reaped it counts as gone)."""
    with contextlib.suppress(OSError):
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        letter = stat[stat.rindex(")") + 2]
        return "X" if letter == "Z" else letter
    return "X"


class LaunchTest(unittest.TestCase):
    mode = "--local"

    def setUp(self):
        self.name = job_name(self._testMethodName[-20:])
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pflight-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.members = []
        self.addCleanup(self.end_members)

    def end_members(self):
        for pid in self.members:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def command(self, *words, members=3):
        return [PFLIGHT, "run", "-n", str(members), self.mode, "--job", self.name, *words]

    def run_job(self, *words, members=3, **more):
        job = subprocess.Popen(self.command(*words, members=members), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, **more)
        try:
            stdout, stderr = job.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            job.terminate()  # not SIGKILL: its members would live on
            stdout, stderr = job.communicate(timeout=PATIENCE)
            self.fail(f"hangs; it said: {stdout}{stderr}")
        self.assertEqual(shm_objects(self.name), [], "nothing may be left in /dev/shm")
        return subprocess.CompletedProcess(words, job.returncode, stdout, stderr)

    def start_job(self, *words, members=3):
        """Starts a job whose members print 'member SLOT PID'; returns it and {slot: pid}."""
        output = open(self.folder / "output", "w+", encoding="utf-8")
        self.addCleanup(output.close)
        job = subprocess.Popen(self.command(*words, members=members), stdin=subprocess.DEVNULL, stdout=output,
                               stderr=subprocess.STDOUT, start_new_session=True)
        self.addCleanup(job.wait)
        self.addCleanup(job.kill)
        def lines():
            return [line.split() for line in self.output().splitlines() if line.startswith("member ") and len(line.split()) == 3]
        wait_until(lambda: len(lines()) >= members or job.poll() is not None, "members to say their pids")
        pids = {int(slot): int(pid) for _, slot, pid in lines()}
        self.members += pids.values()
        self.assertEqual(len(pids), members, self.output())
        return job, pids

    def output(self):
        return (self.folder / "output").read_text(encoding="utf-8")

    def assert_nothing_left(self, pids):
        for pid in pids.values():
            self.assertEqual(state_of(pid), "X", f"process {pid} is left")
        self.assertEqual(shm_objects(self.name), [])

    def wait(self, job):
        return job.wait(timeout=PATIENCE)


class Outcomes:
    """How the end of the members becomes an exit status and one sentence."""

    def test_members_that_leave_complete_the_job(self):
        done = self.run_job(MEMBER, "attach", "barrier", "say=hello {slot}", "leave")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(sorted(done.stdout.split("\n")), ["", "hello 0", "hello 1", "hello 2"])

    def test_one_that_leaves_is_enough_whatever_died(self):
        done = self.run_job(MEMBER, "attach", "barrier", "0:signal=KILL", "1:signal=KILL", "leave")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("mpirun", done.stderr)
        self.assertNotIn("PMIX", done.stderr)

    def test_all_members_dead_is_a_failure_that_says_so(self):
        done = self.run_job(MEMBER, "attach", "barrier", "signal=KILL")
        self.assertEqual(done.returncode, 1)
        self.assertIn("All 3 members died (3 by SIGKILL); there is no checkpoint to go on from", done.stderr)

    def test_the_last_checkpoint_is_named_when_all_died(self):
        saved = self.folder / "saved"
        done = self.run_job("--checkpoint", str(saved), "--checkpoint-every", "10", MEMBER, "attach", "barrier", "checkpoint=40",
                            "barrier", "signal=KILL")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"the last checkpoint is that of step 40: go on with --restart {saved}", done.stderr)

    def test_a_member_that_exits_with_a_status_fails_the_job_with_it(self):
        done = self.run_job(MEMBER, "attach", "barrier", "2:exit=7", "leave")
        self.assertEqual(done.returncode, 7)
        self.assertIn("exited with status 7", done.stderr)

    def test_a_failure_recorded_by_a_member_is_shown_once(self):
        done = self.run_job(MEMBER, "attach", "barrier", "fail=VNode 3 went wrong in step 5.", "exit=1")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("VNode 3 went wrong in step 5."), 1)

    def test_a_program_that_is_not_ours_is_named(self):
        done = self.run_job("true")
        self.assertEqual(done.returncode, 1)
        self.assertIn("before it made a phoenix::Runtime", done.stderr)

    def test_others_do_not_wait_for_one_that_died_before_it_attached(self):
        # The barrier ends only when the launcher lowers the number of those expected.
        done = self.run_job("sh", "-c", f'if mkdir {self.folder}/first 2>/dev/null; then kill -9 $$; fi; exec "$0" "$@"', MEMBER,
                            "attach", "barrier", "leave")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_ctrl_c_ends_everything_and_leaves_nothing(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            with self.subTest(signal=number):
                job, pids = self.start_job(MEMBER, "attach", "barrier", "say=member {slot} {pid}", "await=/nonexistent")
                job.send_signal(number)
                self.assertEqual(self.wait(job), status)
                self.assert_nothing_left(pids)
                self.assertEqual(self.output().count("Interrupted by"), 1, self.output())

    def test_ctrl_c_ends_members_that_are_stopped(self):
        job, pids = self.start_job(MEMBER, "attach", "barrier", "say=member {slot} {pid}", "1:signal=STOP", "await=/nonexistent")
        wait_until(lambda: state_of(pids[1]) == "T", "member 1 to stop")
        job.send_signal(signal.SIGINT)
        self.assertEqual(self.wait(job), 130)
        self.assert_nothing_left(pids)

    def test_members_finish_and_clean_up_when_pflight_is_killed(self):
        go = self.folder / "go"
        job, pids = self.start_job(MEMBER, "attach", "barrier", "say=member {slot} {pid}", f"await={go}", "say=finished", "leave")
        job.kill()
        self.wait(job)
        self.assertTrue(shm_objects(self.name))
        go.touch()
        wait_until(lambda: all(state_of(pid) == "X" for pid in pids.values()), "the members to finish")
        self.assertEqual(self.output().count("finished"), 3)
        self.assert_nothing_left(pids)

    def test_a_stopped_member_goes_on_after_the_time_planned(self):
        done = self.run_job("--fault", "stop:1@5+100ms", "--timeline", MEMBER, "attach", "barrier", "1:fault=0", "say=on {slot}", "leave")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("on 1", done.stdout)
        self.assertIn("member 1 is stopped as planned", done.stderr)

    def test_a_member_stopped_for_ever_does_not_keep_the_job_from_ending(self):
        done = self.run_job("--heartbeat-timeout", "200ms", MEMBER, "attach", "barrier", "1:signal=STOP", "leave")
        self.assertEqual(done.returncode, 0, done.stderr)


class Local(Outcomes, LaunchTest):
    def test_the_status_of_a_program_that_never_attached_is_passed_on(self):
        done = self.run_job(MEMBER, "exit=5")
        self.assertEqual(done.returncode, 5)
        self.assertIn("exited with status 5", done.stderr)

    def test_a_crash_before_attaching_is_named(self):
        done = self.run_job(MEMBER, "signal=SEGV")
        self.assertEqual(done.returncode, 1)
        self.assertIn("3 by SIGSEGV", done.stderr)

    def test_a_member_that_dies_is_replaced(self):
        # The first process dies once both have attached; the other leaves only when a third was started.
        script = (f'if mkdir {self.folder}/1; then exec "$0" attach barrier signal=KILL; fi; '
                  f'mkdir {self.folder}/2 || touch {self.folder}/replaced; exec "$0" "$@"')
        done = self.run_job("--respawn", "--timeline", "sh", "-c", script, MEMBER, "attach", "barrier", f"await={self.folder}/replaced",
                            "leave", members=2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("started as a replacement", done.stderr)

    def test_a_living_job_keeps_its_name(self):
        job, pids = self.start_job(MEMBER, "attach", "barrier", "say=member {slot} {pid}", "await=/nonexistent")
        second = subprocess.run(self.command(MEMBER, "attach", "leave"), capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn("running already; choose another id", second.stderr)
        job.send_signal(signal.SIGTERM)
        self.assertEqual(self.wait(job), 143)
        self.assert_nothing_left(pids)

    def test_what_a_dead_job_of_the_same_name_left_is_replaced(self):
        job, pids = self.start_job(MEMBER, "attach", "barrier", "say=member {slot} {pid}", "await=/nonexistent")
        job.kill()
        self.wait(job)
        self.end_members()
        wait_until(lambda: all(state_of(pid) == "X" for pid in pids.values()), "the members to die")
        self.assertEqual(len(shm_objects(self.name)), 1)
        self.assertEqual(self.run_job(MEMBER, "attach", "barrier", "leave").returncode, 0)

    def test_shared_memory_too_small_is_said_with_the_remedy(self):
        small = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$0" "$@"']
        if subprocess.run([*small, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("a /dev/shm of its own needs root and the right to mount")
        done = subprocess.run([*small, *self.command(MEMBER, "attach", "leave")], capture_output=True, text=True, timeout=PATIENCE,
                              check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/dev/shm is too small", done.stderr)
        self.assertIn("mount -o remount,size=", done.stderr)

    def test_progress_lines_are_json_when_asked(self):
        import json
        go = self.folder / "go"
        job, _ = self.start_job("--progress", "jsonl", MEMBER, "attach", "barrier", "say=member {slot} {pid}", f"await={go}", "leave")
        wait_until(lambda: '"members":3' in self.output(), "a line of progress")
        go.touch()
        self.assertEqual(self.wait(job), 0)
        for line in self.output().splitlines():
            if line.startswith("{"):
                self.assertIn("vnode_steps", json.loads(line))


class Mpi(Outcomes, LaunchTest):
    mode = "--mpi"

    def setUp(self):
        if shutil.which("mpirun") is None:
            self.skipTest("there is no mpirun")
        super().setUp()


class WrongUse(unittest.TestCase):
    """Each wrong command line gives one sentence with the cause and the remedy, and status 2."""

    def check(self, words, *parts):
        done = subprocess.run([PFLIGHT, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)

    def test_options(self):
        self.check(["frobnicate"], "no command 'frobnicate'")
        self.check(["run", "--fualt", "kill:1@2", "-n", "2", "true"], "no option '--fualt'", "did you mean --fault?")
        self.check(["run", "--zzzzzzzz", "-n", "2", "true"], "no option", "pflight run --help")
        self.check(["run", "-n", "2"], "No program is named")
        self.check(["run", "true"], "-n 4")
        self.check(["run", "-n", "0", "true"], "1 to 256 members")
        self.check(["run", "-n", "257", "true"], "1 to 256 members")
        self.check(["run", "-n", "two", "true"], "1 to 256 members")
        self.check(["run", "-n", "2", "--local", "--mpi", "true"], "exclude each other")
        self.check(["run", "-n", "2", "--mpi", "--respawn", "true"], "--local instead of --mpi")
        self.check(["run", "-n", "2", "--stack-size", "1", "true"], "--stack-size 1", "2M")
        self.check(["run", "-n", "2", "--log-memory-max", "x", "true"], "--log-memory-max x", "8G")
        self.check(["run", "-n", "2", "--heartbeat-timeout", "3", "true"], "--heartbeat-timeout", "ms or s")
        self.check(["run", "-n", "2", "--progress", "loud", "true"], "--progress loud", "jsonl")
        self.check(["run", "-n", "2", "--job", "a/b", "true"], "--job 'a/b'")
        self.check(["run", "-n", "1", "--verify-replay", "true"], "-n 2 or more")

    def test_faults(self):
        self.check(["run", "-n", "2", "--fault", "kill:x@3", "true"], "at position 6", "kill:2@300")
        self.check(["run", "-n", "2", "--fault", "kill:2@3", "true"], "there is no member 2", "0 to 1")
        self.check(["run", "-n", "2", "--chaos", "seed=1,kills=2", "true"], "leave nobody of 2 members", "--respawn")
        self.check(["run", "-n", "2", "--chaos", "sead=1", "true"], "at position 1")

    def test_programs(self):
        self.check(["run", "-n", "2", "/no/such/program"], "no program '/no/such/program'")
        self.check(["run", "-n", "2", "no-such-program"], "on PATH or beside pflight")
        self.check(["run", "-n", "2", "/tmp"], "is a directory")
        self.check(["run", "-n", "2", __file__ if not os.access(__file__, os.X_OK) else "/etc/passwd"], "not executable", "chmod +x")

    def test_checkpoints(self):
        self.check(["run", "-n", "2", "--checkpoint-every", "5", "true"], "add --checkpoint DIR")
        self.check(["run", "-n", "2", "--checkpoint", "/tmp", "true"], "--checkpoint-every 100")
        self.check(["run", "-n", "2", "--checkpoint", "/tmp", "--checkpoint-every", "0", "true"], "--checkpoint-every 0")
        self.check(["run", "-n", "2", "--checkpoint", "/proc/none", "--checkpoint-every", "5", "true"], "cannot be written to '/proc/none'")
        self.check(["run", "-n", "2", "--restart", "/no/such/folder", "true"], "no such directory")

    def test_help_and_version(self):
        for words, part in ((["--help"], "pflight run"), (["run", "--help"], "examples:"), (["--version"], "pflight ")):
            done = subprocess.run([PFLIGHT, *words], capture_output=True, text=True, timeout=PATIENCE, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(part, done.stdout)


def main():
    loader = unittest.defaultTestLoader
    classes = (Local, Mpi, WrongUse)
    if sys.argv[1:] == ["--list"]:
        for group in classes:
            for name in loader.getTestCaseNames(group):
                print(f"{group.__name__}.{name}")
        return 0
    result = unittest.TextTestRunner(verbosity=2).run(loader.loadTestsFromName(sys.argv[1], sys.modules[__name__]))
    if result.skipped:
        return 77
    return 0 if result.wasSuccessful() and result.testsRun > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
