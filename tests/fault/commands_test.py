"""The commands for a running job, given from outside: pflight status, members, vnodes, join, retire, move, clean.

usage: commands_test.py --list | CASE     with PFLIGHT and PLATE in the environment
A case that cannot run here exits with 77 and says why.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

from launch_test import PATIENCE, PFLIGHT, job_name, shm_objects, state_of, wait_until

PLATE = os.environ.get("PLATE", "")
SMALL = ["--size", "64x64", "--vnodes", "8"]
# Ended by the test; a job that nobody ends is over by itself some day.
LONG = [PLATE, *SMALL, "--steps", "100000000"]
# Long enough for a dozen commands; the same number alone is what the digest is compared with.
BOUNDED = [PLATE, *SMALL, "--steps", "250000", "--digest"]


def pflight(*words):
    return subprocess.run([PFLIGHT, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
                          check=False)


class CommandTest(unittest.TestCase):
    def setUp(self):
        self.jobs = {}  # name -> its pflight
        self.pids = set()
        self.folder = tempfile.TemporaryDirectory(prefix="pflight-test-")
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(self.end_everything)
        self.name = job_name(self._testMethodName[-20:])

    def end_everything(self):
        for name, job in self.jobs.items():
            with contextlib.suppress(Exception):
                self.note_members(name)
            job.kill()
            job.wait(PATIENCE)
        for pid in self.pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: all(state_of(pid) == "X" for pid in self.pids), "the members to die")
        for name in self.jobs:
            for entry in shm_objects(name):
                pathlib.Path("/dev/shm", entry).unlink()

    def start(self, program, *options, members=2, name=None):
        """Starts a job and waits until all its members are active."""
        name = name or self.name
        output = open(self.output_of(name), "w", encoding="utf-8")
        self.addCleanup(output.close)
        self.jobs[name] = subprocess.Popen([PFLIGHT, "run", "-n", str(members), "--local", "--quiet", "--job", name, *options,
                                            *program], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        wait_until(lambda: self.states(name).count("active") == members and self.placed(name), "the members to be active")
        self.note_members(name)
        return self.jobs[name]

    def output_of(self, name):
        return os.path.join(self.folder.name, name)

    def shown(self, what, name=None):
        done = pflight(what, "--json", "--job", name or self.name)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def members(self, name=None):
        return {member["slot"]: member for member in self.shown("members", name).get("members", [])}

    def states(self, name=None):
        return [member["state"] for member in self.members(name).values()]

    def placed(self, name):
        vnodes = self.vnodes(name)
        return len(vnodes) == 8 and all(vnode["state"] == "active" for vnode in vnodes)

    def vnodes(self, name=None):
        domains = self.shown("vnodes", name).get("domains", [])
        return domains[0]["vnodes"] if domains else []

    def note_members(self, name=None):
        # Not of those that are gone: somebody else may get such a pid.
        self.pids |= {member["pid"] for member in self.members(name).values() if member["process"] != "X"}

    def good(self, *words):
        done = pflight(*words, "--job", self.name)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        self.note_members()
        return done.stdout

    def refused(self, words, *parts, status=1, job=None):
        done = pflight(*words, *([] if job == "" else ["--job", job or self.name]))
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)

    def end(self, number=signal.SIGTERM):
        """Ends the job from its pflight; nothing may be left."""
        job = self.jobs[self.name]
        self.note_members()
        job.send_signal(number)
        status = job.wait(PATIENCE)
        self.assert_nothing_left()
        return status

    def assert_nothing_left(self):
        self.assertEqual([pid for pid in self.pids if state_of(pid) != "X"], [], "processes are left")
        self.assertEqual(shm_objects(self.name), [])

    def stop(self, pid):
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: state_of(pid) == "T", "a member to stop")

    def coordinator(self):
        """Of two members; who came first is chance."""
        return next(slot for slot, member in self.members().items() if member["coordinator"])

    def begin_to_retire(self, *options):
        """Asks the other one, which is stopped and so cannot; returns its slot, its pid and the command."""
        slot = 1 - self.coordinator()
        pid = self.members()[slot]["pid"]
        self.stop(pid)
        command = subprocess.Popen([PFLIGHT, "retire", str(slot), *options, "--job", self.name], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        self.addCleanup(command.kill)
        wait_until(lambda: self.members()[slot]["state"] == "draining", f"member {slot} to drain")
        return slot, pid, command

    def ended(self, command, *parts, status=0):
        said = command.communicate(timeout=PATIENCE)[0]
        self.assertEqual((command.returncode, said.count("\n")), (status, 1), said)
        for part in parts:
            self.assertIn(part, said)


class Commands(CommandTest):
    def test_all_changes_together_leave_the_digest_as_it_is(self):
        alone = subprocess.run(BOUNDED, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=True)
        job = self.start(BOUNDED, "--heartbeat-timeout", "60s")
        self.assertEqual(self.good("join", "-n", "2"), "2 members joined: 2, 3\n")
        first = self.coordinator()
        self.assertEqual(self.good("retire", first), f"member {first} has left; others have its VNodes\n")
        self.assertEqual(self.coordinator(), 1 - first, "the next oldest")
        here = self.vnodes()[5]["owner"]
        self.good("move", 5, next(slot for slot in (1 - first, 2, 3) if slot != here))
        self.stop(self.members()[2]["pid"])
        self.assertIn("was not empty in time", self.good("retire", "2", "--drain-timeout", "0.2"))
        os.kill(self.members()[3]["pid"], signal.SIGTERM)
        wait_until(lambda: self.members()[3]["state"] == "retired", "member 3 to retire")
        self.assertEqual(self.states(), [*(["retired", "active"] if first == 0 else ["active", "retired"]), "failed", "retired"])
        self.assertIsNone(job.poll(), "the job was over too early to be changed; make it longer")
        self.assertEqual(job.wait(PATIENCE), 0)
        self.assertEqual(pathlib.Path(self.output_of(self.name)).read_text(encoding="utf-8"), alone.stdout)
        self.assert_nothing_left()

    def test_a_running_job_is_shown(self):
        job = self.start(LONG)
        status = self.shown("status")
        self.assertEqual((status["job"], status["mode"], status["outcome"]), (self.name, "local", "running"))
        self.assertEqual((status["agent"]["pid"], status["agent"]["alive"]), (job.pid, True))
        self.assertEqual(status["members"], {"joining": 0, "active": 2, "draining": 0, "retired": 0, "failed": 0})
        domain = status["domains"][0]
        self.assertEqual((domain["name"], domain["vnodes"], domain["phase"], domain["steps_total"]), ("plate", 8, 2, 100000000))
        self.assertEqual(domain["placement"], "block")
        wait_until(lambda: self.shown("status")["domains"][0]["step_min"] > domain["step_min"], "the steps to grow")
        members = self.members()
        self.assertEqual([members[slot]["vnodes"] for slot in (0, 1)], [4, 4])
        self.assertEqual([members[slot]["coordinator"] for slot in (0, 1)].count(True), 1)
        wait_until(lambda: self.members()[1]["heartbeat"] > members[1]["heartbeat"], "the heart to beat")
        self.assertEqual([vnode["owner"] for vnode in self.vnodes()].count(1), 4)
        self.assertIn("2 active", self.good("status"))
        self.assertEqual(len(self.good("members").splitlines()), 4)
        self.assertIn("domain 'plate'", self.good("vnodes", "--domain", "plate"))
        self.refused(["vnodes", "--domain", "x"], "no domain 'x'", "'plate'")
        self.assertEqual(self.end(), 143)

    def test_what_cannot_be_is_refused_in_a_sentence(self):
        self.start(LONG)
        self.refused(["retire", 7], "There is no member 7", "active are 0, 1")
        self.refused(["move", 8, 1], "no VNode 8", "0 to 7")
        self.refused(["move", 1, 7], "Member 7 is not active", "pflight members")
        self.refused(["move", 1, 1, "--domain", "x"], "no domain 'x'", "'plate'")
        self.refused(["join", "-n", 255], "room for 254 more", "ask for fewer")
        self.refused(["status"], "There is no job 'none-such'", self.name, job="none-such")
        self.good("retire", 1)
        self.refused(["retire", 1], "Member 1 has left")
        self.refused(["move", 1, 1], "Member 1 is not active")
        self.refused(["retire", 0], "Member 0 stays", "pflight join")
        self.assertEqual(self.states(), ["active", "retired"])
        joined = self.good("join")
        slot = int(joined.split()[-1])
        self.assertEqual(joined, f"1 member joined: {slot}\n")
        self.assertIn(slot, (1, 2), "the slot of the one that left, if others are through with it")
        os.kill(self.members()[slot]["pid"], signal.SIGKILL)
        wait_until(lambda: self.members()[slot]["state"] == "failed", "the death to be seen")
        self.refused(["retire", slot], f"Member {slot}", "is dead")
        self.end()

    def test_a_vnode_moved_by_hand_stays_under_each_placement_until_members_come(self):
        for placement in ("ring:3", "topology"):
            with self.subTest(placement=placement):
                self.start(LONG, "--placement", placement)
                self.assertEqual(self.shown("status")["domains"][0]["placement"], placement)
                here = self.vnodes()[3]["owner"]
                self.good("move", 3, 1 - here)
                version = self.vnodes()[3]["version"]
                done = self.shown("status")["domains"][0]["step_min"]
                wait_until(lambda: self.shown("status")["domains"][0]["step_min"] > done + 2000, "the steps to grow")
                self.assertEqual((self.vnodes()[3]["owner"], self.vnodes()[3]["version"]), (1 - here, version), "it stays")
                self.good("join")
                if placement == "ring:3":
                    wait_until(lambda: self.vnodes()[3]["owner"] in (here, 2), "the ring to have its VNode back")
                else:
                    wait_until(lambda: sorted(member["vnodes"] for member in self.members().values()) == [2, 3, 3], "equal shares")
                self.end()

    def test_a_vnode_moves_and_stays(self):
        self.start(LONG)
        here = self.vnodes()[3]
        there = 1 - here["owner"]
        self.assertEqual(self.good("move", 3, there, "--domain", "plate"), f"VNode 3 of 'plate' moved to member {there}\n")
        self.assertEqual((self.vnodes()[3]["owner"], self.vnodes()[3]["version"]), (there, here["version"] + 1))
        self.assertIn("already", self.good("move", 3, there))
        pid = self.members()[there]["pid"]
        self.stop(pid)
        self.refused(["move", 3, here["owner"], "--timeout", "0.2"], "has not moved within 0.2 s", "pflight vnodes")
        os.kill(pid, signal.SIGCONT)
        self.end()

    def test_a_member_without_hurry_drains_until_it_can(self):
        self.start(LONG, "--heartbeat-timeout", "60s")
        slot, pid, command = self.begin_to_retire("--drain-timeout", "0")
        self.assertEqual(self.members()[slot]["process"], "T")
        self.refused(["retire", slot], "drains already")
        os.kill(pid, signal.SIGCONT)
        self.ended(command, f"member {slot} has left; others have its VNodes")
        self.end()

    def test_a_member_that_dies_while_it_drains_is_told_apart(self):
        self.start(LONG, "--heartbeat-timeout", "60s")
        slot, pid, command = self.begin_to_retire()
        os.kill(pid, signal.SIGKILL)
        self.ended(command, f"Member {slot} died before it was empty; its VNodes were recovered.", status=1)
        self.assertEqual([vnode["owner"] for vnode in self.vnodes()], [1 - slot] * 8)
        self.end()

    def test_a_job_that_ends_while_a_member_drains_is_told(self):
        self.start(LONG, "--heartbeat-timeout", "60s")
        _, _, command = self.begin_to_retire()
        self.end()
        self.ended(command, f"The job '{self.name}' has ended meanwhile: Interrupted by SIGTERM", status=1)


class Joining(CommandTest):
    """Who joins is started by the job's pflight from the same command line; here it may misbehave the second time."""

    def start_with_joiners(self, what):
        script = f'if mkdir {self.folder.name}/1 2>/dev/null; then exec "$0" "$@"; fi; echo $$ >{self.folder.name}/joiner; {what}'
        return self.start(["sh", "-c", script, *LONG], members=1)

    def test_a_process_that_ends_before_it_is_a_member_is_counted(self):
        job = self.start_with_joiners("exit 3")
        self.refused(["join", "-n", 2, "--timeout", 20], "2 of 2 processes ended before they were members", "no member joined")
        self.assertEqual(self.states(), ["active"])
        self.assertIsNone(job.poll(), "the job goes on")
        self.end()

    def test_waiting_for_one_that_does_not_come_has_an_end(self):
        self.start_with_joiners("exec sleep 1000")
        self.refused(["join", "--timeout", "0.3"], "Within 0.3 s no member joined", "pflight members")
        joiner = pathlib.Path(self.folder.name, "joiner")
        wait_until(lambda: joiner.exists() and joiner.read_text(encoding="utf-8").endswith("\n"), "the process to say its pid")
        self.pids.add(int(joiner.read_text(encoding="utf-8")))
        self.end()

    def test_a_job_that_ends_meanwhile_is_told(self):
        self.start_with_joiners("exec sleep 1000")
        command = subprocess.Popen([PFLIGHT, "join", "--job", self.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(command.kill)
        wait_until(lambda: pathlib.Path(self.folder.name, "joiner").exists(), "a process to be started")
        self.end()
        self.ended(command, "has ended meanwhile: Interrupted by SIGTERM", status=1)


class Leftovers(CommandTest):
    def test_a_job_without_pflight_is_shown_and_takes_nobody(self):
        job = self.start(LONG)
        job.kill()
        job.wait(PATIENCE)
        self.assertFalse(self.shown("status")["agent"]["alive"])
        self.refused(["join"], "no living pflight")
        self.assertEqual(self.good("retire", 1), "member 1 has left; others have its VNodes\n")
        self.assertEqual(self.states(), ["active", "retired"])

    def test_clean_removes_what_dead_jobs_left_and_nothing_of_living_ones(self):
        dead, living = self.name + "-d", self.name + "-l"
        self.start(LONG, name=living)
        job = self.start(LONG, name=dead)
        pids = [member["pid"] for member in self.members(dead).values()]
        job.kill()
        job.wait(PATIENCE)
        clean = pflight("clean", "--dry-run")
        self.assertNotIn(dead, clean.stdout, "its members live")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: all(state_of(pid) == "X" for pid in pids), "the members to die")
        self.refused(["status"], f"The job '{dead}' is dead", "pflight clean", job=dead)
        clean = pflight("clean", "--dry-run")
        self.assertIn(f"would be removed: job '{dead}'", clean.stdout)
        self.assertEqual(len(shm_objects(dead)), 1)
        clean = pflight("clean")
        self.assertEqual(clean.returncode, 0)
        self.assertIn(f"removed: job '{dead}'", clean.stdout)
        self.assertNotIn(living, clean.stdout)
        self.assertEqual((shm_objects(dead), len(shm_objects(living))), ([], 1))
        self.assertEqual(self.states(living), ["active", "active"])
        self.refused(["status"], f"There is no job '{dead}'", job=dead)

    def test_the_job_meant_is_the_only_one(self):
        """In a /dev/shm of its own: jobs of others on this machine would be counted."""
        if "PRIVATE_SHM" not in os.environ:
            own = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$0" "$@"']
            if subprocess.run([*own, "true"], capture_output=True, check=False).returncode != 0:
                self.skipTest("a /dev/shm of its own needs root and the right to mount")
            done = subprocess.run([*own, sys.executable, __file__, f"Leftovers.{self._testMethodName}"], capture_output=True, text=True,
                                  env=dict(os.environ, PRIVATE_SHM="1"), timeout=2 * PATIENCE, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            return
        self.refused(["status"], "No job of this user runs on this machine", "pflight run", job="")
        self.assertEqual(pflight("clean").stdout, "nothing to remove: no dead job of this user left anything\n")
        self.start(LONG, members=1, name="a")
        self.assertEqual(json.loads(pflight("status", "--json").stdout)["job"], "a")
        self.start(LONG, members=1, name="b")
        self.refused(["status"], "2 jobs run here", "a", "b", "--job ID", job="")


class SeveralNodes(CommandTest):
    """The same commands for a job of two nodes with two members each; VNodes 0 to 3 are on node 0."""

    def nodes(self, what):
        return {node["node"]: node for node in self.shown(what).get("nodes", [])}

    def states_on(self, node):
        return [member["state"] for member in self.nodes("members")[node]["members"] if not member["port"]]

    def owners(self):
        return {node: {vnode["vnode"]: vnode["owner"] for vnode in shown["domains"][0]["vnodes"] if vnode["state"] == "active"}
                for node, shown in self.nodes("vnodes").items() if shown["domains"]}

    def note_members(self, name=None):
        for node in self.nodes("members").values():
            self.pids |= {member["pid"] for member in node["members"]}
        for node in self.nodes("status").values():
            self.pids.add(node["agent"]["pid"])

    def setUp(self):
        super().setUp()
        output = open(self.output_of(self.name), "w", encoding="utf-8")
        self.addCleanup(output.close)
        self.jobs[self.name] = subprocess.Popen([PFLIGHT, "run", "-n", "4", "--emulate-nodes", "2", "--quiet", "--job", self.name,
                                                 *LONG], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        wait_until(lambda: [len(vnodes) for vnodes in self.owners().values()] == [4, 4], "the VNodes to be active")
        wait_until(lambda: self.states_on(0) == self.states_on(1) == ["active", "active"], "all members to be active")
        self.note_members()

    def test_all_nodes_are_shown(self):
        status = self.nodes("status")
        self.assertEqual([node["outcome"] for node in status.values()], ["running", "running"])
        self.assertEqual([node["members"]["active"] for node in status.values()], [2, 2], "the port is none")
        self.assertEqual({node: sorted(owners) for node, owners in self.owners().items()}, {0: [0, 1, 2, 3], 1: [4, 5, 6, 7]})
        self.assertIn(f"job {self.name}, 2 of its 2 nodes", self.good("status"))
        members = self.good("members").splitlines()
        self.assertEqual(len(members), 8)
        for name in ("0.0", "0.1", "1.0", "1.1"):
            self.assertEqual(sum(line.split()[1].rstrip("*") == name for line in members[1:7]), 1, members)
        vnodes = self.good("vnodes", "--domain", "plate").splitlines()
        self.assertEqual(len(vnodes), 10)
        self.assertTrue(vnodes[-1].split()[:2] == ["1", "7"] and vnodes[-1].split()[2].startswith("1."), vnodes[-1])
        self.assertEqual(self.end(), 143)

    def test_changes_are_made_on_the_node_named(self):
        self.assertEqual(self.good("join", "--node", 1), "1 member joined: 1.2\n")
        self.assertEqual(self.good("retire", "1.1"), "member 1.1 has left; others have its VNodes\n")
        self.assertEqual((self.states_on(0), self.states_on(1)), (["active", "active"], ["active", "retired", "active"]))
        vnode, owner = next(iter(self.owners()[1].items()))
        there = 2 - owner  # of 0 and 2
        self.assertEqual(self.good("move", vnode, f"1.{there}"), f"VNode {vnode} of 'plate' moved to member 1.{there}\n")
        self.assertEqual(self.good("retire", "1.2"), "member 1.2 has left; others have its VNodes\n")
        self.assertIn("joined: 1.", self.good("join"), "the node with the fewest members")
        self.end()

    def test_what_cannot_be_is_refused_in_a_sentence(self):
        self.refused(["retire", 1], "has several nodes", "for example 1.1")
        self.refused(["retire", "2.0"], "Node 2 of job", "these do: 0, 1")
        self.refused(["retire", "1.7"], "There is no member 1.7", "active are 1.0, 1.1")
        self.refused(["retire", "1.255"], "There is no member 1.255")
        self.refused(["join", "--node", 5], "Node 5 of job")
        self.refused(["move", 8, "1.0"], "has no VNode 8")
        self.refused(["retire", "--node", 5], "Node 5 of job")
        self.end()

    def vnodes_on(self, node):
        return len(self.owners().get(node, {}))

    def test_a_vnode_moves_to_a_member_of_another_node_and_back(self):
        self.assertEqual(self.good("move", 0, "1.0"), "VNode 0 of 'plate' moved to member 1.0\n")
        wait_until(lambda: self.owners()[1].get(0) == 0, "VNode 0 to be with member 1.0")
        self.assertNotIn(0, self.owners()[0])
        self.assertEqual(self.good("move", 0, "0.1"), "VNode 0 of 'plate' moved to member 0.1\n")
        self.assertEqual(self.good("move", 0, "0.1"), "VNode 0 of 'plate' is with member 0.1 already\n")
        self.end()

    def test_members_that_join_a_node_get_vnodes_of_the_others(self):
        self.good("join", "--node", 1, "-n", 4)
        wait_until(lambda: (self.vnodes_on(0), self.vnodes_on(1)) == (2, 6), "each member to have one or two VNodes")
        self.end()

    def test_a_node_retires_and_its_vnodes_go_to_the_other(self):
        said = self.good("retire", "--node", 1)
        self.assertEqual(said, "".join(f"member 1.{slot} has left; others have its VNodes\n" for slot in (0, 1)))
        wait_until(lambda: self.vnodes_on(0) == 8, "all VNodes to be on node 0")
        self.refused(["retire", "--node", 1], "has no member that could be asked")
        wait_until(lambda: pflight("join", "--node", "1", "--job", self.name).returncode == 1, "the node to be closed")
        self.refused(["join", "--node", 1], "Node 1 of job", "takes none")
        self.assertIn("joined: 0.", self.good("join"))
        self.good("retire", "0.2")
        self.good("retire", "0.0")
        self.refused(["retire", "0.1"], "Member 0.1 stays")
        self.assertEqual(self.end(), 143)


class WrongUse(unittest.TestCase):
    """Each wrong command line gives one sentence with the cause and the remedy, and status 2."""

    def check(self, words, *parts):
        done = pflight(*words)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)

    def test_options(self):
        self.check(["join", "-n", "0"], "-n 0", "-n 2")
        self.check(["join", "-n", "256"], "1 to 255")
        self.check(["join", "--node", "x"], "--node x", "pflight status")
        self.check(["join", "--timeout", "soon"], "--timeout soon", "60")
        self.check(["join", "--jop", "x"], "pflight join has no option '--jop'", "did you mean --job?")
        self.check(["retire"], "MEMBER or --node K is required", "pflight retire --help")
        self.check(["retire", "1.0", "--node", "1"], "not both")
        self.check(["retire", "--node", "x"], "--node x", "pflight status")
        self.check(["retire", "one"], "MEMBER 'one'", "pflight members")
        self.check(["retire", "256"], "0 to 255")
        self.check(["retire", "1.x"], "MEMBER '1.x'")
        self.check(["retire", "1", "--drain-timeout", "3m"], "--drain-timeout 3m", "0 for no limit")
        self.check(["move", "1"], "MEMBER is required")
        self.check(["move", "x", "1"], "VNODE 'x'", "pflight vnodes")
        self.check(["move", "1", "x"], "MEMBER 'x'")
        self.check(["move", "1", "2", "3"], "pflight move --help")
        self.check(["status", "--job", "a/b"], "--job 'a/b'")
        self.check(["clean", "--wet-run"], "pflight clean has no option '--wet-run'")

    def test_help_has_examples(self):
        for command in ("status", "members", "vnodes", "join", "retire", "move", "clean"):
            done = pflight(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(f"examples:\n  pflight {command}", done.stdout)
            self.assertIn(f"  pflight {command}", pflight("--help").stdout)


def main():
    loader = unittest.defaultTestLoader
    if sys.argv[1:] == ["--list"]:
        for group in (Commands, Joining, Leftovers, SeveralNodes, WrongUse):
            for name in loader.getTestCaseNames(group):
                print(f"{group.__name__}.{name}")
        return 0
    result = unittest.TextTestRunner(verbosity=2).run(loader.loadTestsFromName(sys.argv[1], sys.modules[__name__]))
    if result.skipped:
        return 77
    return 0 if result.wasSuccessful() and result.testsRun > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
