"""Jobs of several nodes on one machine: launcher, agents and ports against deaths, signals and bad input.

usage: nodes_test.py --list | CASE     with PFLIGHT and TEST_MEMBER in the environment
A case that cannot run here exits with 77 and says why. The members need no runtime (tests/support/test_member.cpp).
"""

import contextlib
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import unittest

from launch_test import MEMBER, PATIENCE, PFLIGHT, LaunchTest, shm_objects, state_of, wait_until

SAY = "say=member {node}.{slot} {pid}"
ADDRESSES_AT = 11360  # ControlHeader::port_addresses


def children_of(parent):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text()
                if int(stat[stat.rindex(")") + 2:].split()[1]) == parent:
                    found.append(int(entry.name))
    return found


def words_of(pid):
    with contextlib.suppress(OSError):
        return [os.fsdecode(word) for word in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]]
    return []


class NodesTest(LaunchTest):
    nodes = 2

    def command(self, *words, members=4):
        return [PFLIGHT, "run", "-n", str(members), "--emulate-nodes", str(self.nodes), "--job", self.name, *words]

    def run_job(self, *words, members=4, **more):
        return super().run_job(*words, members=members, **more)

    def start_job(self, *words, members=4):
        """Starts a job whose members say 'member NODE.SLOT PID'; returns it and {name: pid}."""
        output = open(self.folder / "output", "w+", encoding="utf-8")
        self.addCleanup(output.close)
        job = subprocess.Popen(self.command(*words, members=members), stdin=subprocess.DEVNULL, stdout=output,
                               stderr=subprocess.STDOUT, start_new_session=True)
        self.addCleanup(job.wait)
        self.addCleanup(job.kill)
        wait_until(lambda: len(self.said()) >= members or job.poll() is not None, "members to say their pids")
        pids = self.said()
        self.members += pids.values()
        self.assertEqual(len(pids), members, self.output())
        self.agents = {node: self.agent_of(job, node) for node in range(self.nodes)}
        self.members += self.agents.values()
        wait_until(lambda: all(self.port(node) for node in range(self.nodes)), "the ports")
        self.ports = {node: self.port(node) for node in range(self.nodes)}
        self.members += self.ports.values()
        self.wait_for_addresses()  # nobody else spreads them if the launcher is killed
        return job, pids

    def said(self):
        lines = [line.split() for line in self.output().splitlines()]
        return {words[1]: int(words[2]) for words in lines if len(words) == 3 and words[0] == "member"}

    def agent_of(self, job, node):
        """The parent of the members of that node."""
        member = next(pid for name, pid in self.said().items() if name.startswith(f"{node}."))
        return next(pid for pid in children_of(job.pid) if member in children_of(pid))

    def port(self, node):
        """Pid of the port of a node whose agent lives, once it is one: before that it is the agent."""
        return next((pid for pid in children_of(self.agents[node]) if words_of(pid)[1:] == ["port"]), None)

    def addresses(self, node):
        with open(f"/dev/shm/phoenix.{os.getuid()}.{self.name}.{node}", "rb") as segment:
            segment.seek(ADDRESSES_AT)
            return struct.unpack(f"={self.nodes}Q", segment.read(8 * self.nodes))

    def wait_for_addresses(self, *differ_from):
        def spread():
            seen = [self.addresses(node) for node in range(self.nodes)]
            return all(seen[0]) and len(set(seen)) == 1 and seen[0] not in differ_from
        wait_until(spread, "the addresses to be spread")
        return self.addresses(0)

    def assert_nothing_left(self, pids):
        super().assert_nothing_left({**pids, **{f"agent {k}": v for k, v in self.agents.items()},
                                     **{f"port {k}": v for k, v in self.ports.items()}})

    def kill(self, pid):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: state_of(pid) == "X", f"process {pid} to die")

    def gone(self, pids):
        wait_until(lambda: all(state_of(pid) == "X" for pid in pids.values()), "the members to finish")
        everybody = [*self.agents.values(), *self.ports.values()]
        wait_until(lambda: all(state_of(pid) == "X" for pid in everybody), "agents and ports to end")

    def sentences(self):
        return [line for line in self.output().splitlines() if line.startswith("pflight: ")]


class Nodes(NodesTest):
    def test_members_of_all_nodes_complete_the_job(self):
        done = self.run_job(MEMBER, "attach", "barrier", "say={node}.{slot}", "leave", members=5)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(sorted(done.stdout.split()), ["0.0", "0.1", "0.2", "1.0", "1.1"])

    def test_one_node_is_the_normal_run(self):
        done = subprocess.run([PFLIGHT, "run", "-n", "2", "--local", "--emulate-nodes", "1", "--job", self.name, "--timeline", MEMBER,
                               "attach", "barrier", "leave"], capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("member 1 attached", done.stderr)

    def test_a_status_on_one_node_ends_the_others(self):
        done = self.run_job(MEMBER, "attach", "barrier", "1.:await=/nonexistent", "2:exit=7", "leave", members=5)
        self.assertEqual(done.returncode, 7)
        self.assertRegex(done.stderr, r"\Apflight: The program failed: member 0\.2 \(process \d+\) exited with status 7; see its messages"
                                      r" above\.\n\Z")

    def test_a_node_without_members_is_no_failure_while_others_have_some(self):
        done = self.run_job(MEMBER, "attach", "barrier", "0:signal=KILL", "leave")
        self.assertEqual((done.returncode, done.stderr), (0, "pflight: 2 members lost, 0 VNodes recovered.\n"), "one of each node is left")
        done = self.run_job(MEMBER, "attach", "barrier", "1.:signal=KILL", "leave")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"\Apflight: Node 1 has no members any more; its VNodes go on elsewhere\.\npflight: 2 members lost, .*\n\Z")

    def test_all_members_of_all_nodes_dead_is_a_failure_that_says_so(self):
        done = self.run_job(MEMBER, "attach", "barrier", "signal=KILL")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr.splitlines()[-1], r"\Apflight: All 2 members of node [01] died \(2 by SIGKILL\); there is no checkpoint.*\Z")

    def test_a_failure_recorded_by_a_member_is_shown_once(self):
        done = self.run_job(MEMBER, "attach", "barrier", "1.0:fail=VNode 3 went wrong in step 5.", "1.:exit=1", "await=/nonexistent")
        self.assertEqual((done.returncode, done.stderr), (1, "pflight: VNode 3 went wrong in step 5.\n"))

    def test_a_program_that_is_not_ours_is_named_once(self):
        done = self.run_job("true")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
        self.assertIn("before it made a phoenix::Runtime", done.stderr)

    def test_the_timeline_names_node_and_slot(self):
        done = self.run_job("--timeline", MEMBER, "attach", "barrier", "1:signal=KILL", "leave")
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("member 0.0 attached", "member 1.0 attached", "member 0.1 died (SIGKILL)", "member 1.1 died (SIGKILL)",
                     "started as port 1"):
            self.assertIn(name, done.stderr)
        self.assertIn("pflight: 2 members lost", done.stderr)

    def test_a_living_job_keeps_its_name(self):
        job, pids = self.start_job(MEMBER, "attach", "barrier", SAY, "await=/nonexistent")
        second = subprocess.run(self.command(MEMBER, "attach", "leave"), capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual((second.returncode, second.stderr.count("\n")), (1, 1), second.stderr)
        self.assertIn("running already; choose another id", second.stderr)
        self.assertEqual(len(shm_objects(self.name)), 2)
        job.send_signal(signal.SIGTERM)
        self.assertEqual(self.wait(job), 143)
        self.assert_nothing_left(pids)

    def test_a_stopped_member_goes_on_after_the_time_planned(self):
        done = self.run_job("--fault", "stop:3@5+100ms", "--timeline", MEMBER, "attach", "barrier", "1.1:fault=0",
                            "say=on {node}.{slot}", "leave")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("on 1.1", done.stdout)
        self.assertIn("member 1.1 is stopped as planned", done.stderr)

    def test_progress_is_one_line_of_json_for_all(self):
        import json
        go = self.folder / "go"
        job, _ = self.start_job("--progress", "jsonl", MEMBER, "attach", "barrier", SAY, f"await={go}", "leave")
        wait_until(lambda: '"members":4' in self.output(), "a line of progress")
        go.touch()
        self.assertEqual(self.wait(job), 0)
        for line in self.output().splitlines():
            if line.startswith("{"):
                self.assertIn("vnode_steps", json.loads(line))

    def test_secret_and_arguments_are_on_no_command_line_but_the_programs(self):
        go = self.folder / "go"
        job, pids = self.start_job(MEMBER, "attach", "barrier", SAY, f"await={go}", "leave")
        for pid in self.agents.values():
            self.assertEqual(words_of(pid), [os.path.realpath(PFLIGHT), "agent"])
        environment = pathlib.Path(f"/proc/{pids['0.0']}/environ").read_text(encoding="utf-8").split("\0")
        secret = next(entry.split("=")[1] for entry in environment if entry.startswith("PHOENIX_SECRET="))
        for pid in (*self.agents.values(), *self.ports.values(), *pids.values(), job.pid):
            self.assertNotIn(secret, " ".join(words_of(pid)))
        other = pathlib.Path(f"/proc/{pids['1.0']}/environ").read_text(encoding="utf-8")
        self.assertIn(secret, other, "one secret for all nodes")
        go.touch()
        self.assertEqual(self.wait(job), 0)
        self.assert_nothing_left(pids)


    def test_a_second_port_of_a_node_goes_away(self):
        go = self.folder / "go"
        job, pids = self.start_job(MEMBER, "attach", "barrier", SAY, f"await={go}", "leave")
        entries = pathlib.Path(f"/proc/{self.ports[1]}/environ").read_bytes().split(b"\0")
        environment = dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)
        second = subprocess.run([PFLIGHT, "port"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=PATIENCE, check=False)
        self.assertEqual((second.returncode, second.stdout, second.stderr), (0, "", ""))
        self.assertEqual(state_of(self.ports[1]), "S")
        go.touch()
        self.assertEqual(self.wait(job), 0)
        self.assertNotIn("started anew", self.output())
        self.assert_nothing_left(pids)


class Signals(NodesTest):
    def test_ctrl_c_ends_everything_and_leaves_nothing(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            with self.subTest(signal=number):
                job, pids = self.start_job(MEMBER, "attach", "barrier", SAY, "await=/nonexistent")
                job.send_signal(number)
                self.assertEqual(self.wait(job), status)
                self.assert_nothing_left(pids)
                self.assertEqual((len(self.sentences()), self.output().count("Interrupted by")), (1, 1), self.output())

    def test_ctrl_c_ends_members_agents_and_ports_that_are_stopped(self):
        job, pids = self.start_job(MEMBER, "attach", "barrier", SAY, "1:signal=STOP", "await=/nonexistent")
        wait_until(lambda: state_of(pids["0.1"]) == "T" and state_of(pids["1.1"]) == "T", "members to stop")
        for pid in (self.agents[0], self.ports[1]):
            os.kill(pid, signal.SIGSTOP)
        job.send_signal(signal.SIGINT)
        self.assertEqual(self.wait(job), 130)
        self.assert_nothing_left(pids)

    def test_ctrl_c_while_nodes_start_leaves_nothing(self):
        job = subprocess.Popen(self.command("sleep", "1000"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, start_new_session=True)
        self.addCleanup(job.kill)
        wait_until(lambda: children_of(job.pid), "an agent")
        job.send_signal(signal.SIGINT)
        said = job.communicate(timeout=PATIENCE)[0]
        self.assertEqual((job.returncode, said.count("\n")), (130, 1), said)
        self.assertEqual(shm_objects(self.name), [])

    def test_sigterm_to_an_agent_ends_the_job(self):
        job, pids = self.start_job(MEMBER, "attach", "barrier", SAY, "await=/nonexistent")
        os.kill(self.agents[1], signal.SIGTERM)
        self.assertEqual(self.wait(job), 143)
        self.assert_nothing_left(pids)
        self.assertEqual(len(self.sentences()), 1, self.output())


class Deaths(NodesTest):
    def start_waiting(self, *options, end=("say=finished", "leave")):
        self.go = self.folder / "go"
        return self.start_job(*options, MEMBER, "attach", "barrier", SAY, f"await={self.go}", *end)

    def test_members_finish_and_clean_up_when_the_launcher_is_killed(self):
        job, pids = self.start_waiting()
        self.kill(job.pid)
        self.assertEqual(len(shm_objects(self.name)), 2)
        self.go.touch()
        self.gone(pids)
        self.assertEqual(self.output().count("finished"), 4)
        self.assert_nothing_left(pids)

    def test_a_failure_is_said_by_its_agent_when_the_launcher_is_killed(self):
        job, pids = self.start_waiting(end=("0.1:exit=7", "leave"))
        self.kill(job.pid)
        self.go.touch()
        self.gone(pids)
        self.assert_nothing_left(pids)
        self.assertIn("node 0: The program failed: member 0.1", self.output())

    def plate(self, node="*", otherwise="exit 1"):
        """A program that is the plate on that node, and says who it is before."""
        program = self.folder / "plate"
        plate = pathlib.Path(PFLIGHT).parent / "plate"
        program.write_text(f'#!/bin/sh\necho "member ${{PHOENIX_JOB##*.}}.$$ $$"\ncase "$PHOENIX_JOB" in\n*.{node}) exec {plate} "$@";;\n'
                           f'*) {otherwise};;\nesac\n', encoding="utf-8")
        program.chmod(0o755)
        return str(program)

    def vnodes_executed(self):
        shown = subprocess.run([PFLIGHT, "vnodes", "--json", "--job", self.name], capture_output=True, text=True, check=False)
        nodes = json.loads(shown.stdout)["nodes"] if shown.returncode == 0 else []
        return sum(vnode["state"] == "active" for node in nodes for domain in node["domains"] for vnode in domain["vnodes"])

    def test_nobody_stays_when_the_launcher_and_then_all_members_are_killed(self):
        """VNodes are left on both nodes, and nobody tells the ports that all is lost."""
        job, pids = self.start_job("--start-timeout", "2s", self.plate(), "--size", "32x32", "--vnodes", "4", "--steps", "100000000")
        wait_until(lambda: self.vnodes_executed() == 4, "the VNodes to be executed")
        self.kill(job.pid)
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        self.gone(pids)
        self.assert_nothing_left(pids)
        for node in (0, 1):
            self.assertIn(f"pflight: node {node}: All 2 members of node {node} died (2 by SIGKILL)", self.output())

    def test_a_node_that_loses_its_members_before_it_has_the_domain_ends_the_job(self):
        program = self.plate("0", f"exec {MEMBER} attach signal=KILL")
        done = self.run_job(program, "--size", "32x32", "--vnodes", "4", "--steps", "10")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("All members of node 1 died or retired before they had made the domain", done.stderr)

    def test_members_finish_when_an_agent_is_killed(self):
        job, pids = self.start_waiting()
        self.kill(self.agents[1])
        wait_until(lambda: "The agent of node 1 died (SIGKILL); its members go on." in self.output(), "the launcher to notice")
        self.go.touch()
        self.assertEqual(self.wait(job), 0, self.output())
        self.assertEqual(self.output().count("finished"), 4)
        self.assert_nothing_left(pids)

    def test_members_finish_when_launcher_and_agents_are_killed(self):
        job, pids = self.start_waiting()
        self.kill(job.pid)
        for pid in self.agents.values():
            self.kill(pid)
        self.go.touch()
        self.gone(pids)
        self.assertEqual(self.output().count("finished"), 4)
        self.assert_nothing_left(pids)

    def test_what_becomes_of_members_without_agent_decides_the_status(self):
        job, pids = self.start_waiting(end=("0.1:exit=7", "leave"))
        self.kill(self.agents[0])
        wait_until(lambda: "The agent of node 0 died" in self.output(), "the launcher to notice")
        self.go.touch()
        self.assertEqual(self.wait(job), 7, self.output())
        self.assert_nothing_left(pids)
        self.assertEqual(len(self.sentences()), 2, self.output())

    def test_ctrl_c_ends_members_without_agent(self):
        job, pids = self.start_waiting()
        self.kill(self.agents[1])
        wait_until(lambda: "The agent of node 1 died" in self.output(), "the launcher to notice")
        job.send_signal(signal.SIGINT)
        self.assertEqual(self.wait(job), 130)
        self.assert_nothing_left(pids)

    def test_an_agent_that_dies_at_once_is_a_failure_that_says_so(self):
        small = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=8m tmpfs /dev/shm && exec "$0" "$@"']
        if subprocess.run([*small, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("a /dev/shm of its own needs root and the right to mount")
        done = subprocess.run([*small, *self.command(MEMBER, "attach", "await=/nonexistent")], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
        self.assertIn("/dev/shm is too small", done.stderr)


class Ports(NodesTest):
    def start_waiting(self, *options):
        self.go = self.folder / "go"
        return self.start_job(*options, MEMBER, "attach", "barrier", SAY, f"await={self.go}", "leave")

    def test_addresses_are_spread_and_those_of_new_ports_too(self):
        job, pids = self.start_waiting("--timeline")
        first = self.wait_for_addresses()
        self.kill(self.ports[1])
        second = self.wait_for_addresses(first)
        self.assertEqual(first[0], second[0])
        self.ports[1] = self.port(1)
        self.go.touch()
        self.assertEqual(self.wait(job), 0, self.output())
        self.assert_nothing_left(pids)
        self.assertIn("port 1 died (SIGKILL)", self.output())
        self.assertRegex(self.output(), r"process \d+ started as port 1, anew")
        self.assertIn("pflight: 1 port started anew.", self.output())

    def test_a_port_that_always_dies_fails_the_job(self):
        job, pids = self.start_waiting()
        last = None
        for _ in range(9):
            wait_until(lambda: (self.port(0) or last) != last, "a new port")
            last = self.port(0)
            self.kill(last)
        self.assertEqual(self.wait(job), 1, self.output())
        self.assert_nothing_left(pids)
        self.assertEqual(len(self.sentences()), 1, self.output())
        self.assertIn("The port of node 0 has died 9 times, the last time by SIGKILL", self.output())

    def test_a_planned_kill_of_a_port_is_done_by_the_agent(self):
        job, pids = self.start_job("--fault", "kill:port1@50", "--timeline", MEMBER, "attach", "barrier", SAY,
                                   f"await={self.folder}/fire", "1.0:fault=0", f"await={self.folder}/go", "leave")
        first = self.wait_for_addresses()
        (self.folder / "fire").touch()
        self.wait_for_addresses(first)
        (self.folder / "go").touch()
        self.assertEqual(self.wait(job), 0, self.output())
        self.assertIn("port 1 is killed as planned", self.output())
        self.assert_nothing_left(pids)

    def test_a_port_that_does_not_end_is_ended(self):
        job, pids = self.start_waiting("--heartbeat-timeout", "300ms")
        os.kill(self.ports[1], signal.SIGSTOP)
        self.go.touch()
        self.assertEqual(self.wait(job), 0, self.output())
        self.assert_nothing_left(pids)

    def test_a_port_outlives_its_agent(self):
        job, pids = self.start_waiting()
        self.kill(self.agents[0])
        self.assertNotEqual(state_of(self.ports[0]), "X")
        self.kill(self.ports[0])
        self.go.touch()
        self.assertEqual(self.wait(job), 0, self.output())
        self.assert_nothing_left(pids)


class WrongUse(unittest.TestCase):
    def check(self, words, *parts, text=""):
        done = subprocess.run([PFLIGHT, *words], input=text, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)

    def test_options(self):
        run = ["run", "-n", "4", "--emulate-nodes"]
        self.check([*run, "5", "true"], "--emulate-nodes 5", "-n 5 or more")
        self.check([*run, "0", "true"], "1 to 64 nodes")
        self.check([*run, "65", "true"], "1 to 64 nodes")
        self.check([*run, "two", "true"], "1 to 64 nodes")
        self.check([*run, "2", "--mpi", "true"], "leave --mpi out")
        self.check([*run, "2", "--between", "pigeons", "true"], "--between pigeons", "'direct'")
        self.check([*run, "2", "--between", "mpi:none", "true"], "--between mpi:none", "mpi:256K")
        self.check([*run, "2", "--between", "mpi:0", "true"], "--between mpi:0", "mpi:256K")
        self.check([*run, "3", "--verify-replay", "true"], "-n 6 or more")
        self.check(["run", "-n", "4", "--between", "direct", "true"], "--emulate-nodes 2")

    def test_faults(self):
        run = ["run", "-n", "4", "--emulate-nodes", "2"]
        self.check([*run, "--fault", "kill:4@3", "true"], "no member 4", "0 to 3")
        self.check([*run, "--fault", "kill:port2@3", "true"], "no port 2", "0 to 1")
        self.check([*run, "--chaos", "seed=1,kills=4", "true"], "4 kills and retires", "3 are possible")
        self.check(["run", "-n", "4", "--fault", "kill:port0@3", "true"], "--emulate-nodes 2")
        self.check(["run", "-n", "4", "--chaos", "seed=1,ports=1", "true"], "--emulate-nodes 2")

    def test_an_agent_without_launcher_says_what_it_is(self):
        self.check(["agent"], "is started by 'pflight run' on each node")
        self.check(["agent"], "cannot be read", text="hello\n")
        self.check(["agent"], "another version", text='{"type":"start","protocol":0}\n')
        self.assertNotIn("agent ", subprocess.run([PFLIGHT, "--help"], capture_output=True, text=True, check=True).stdout.split("examples")[0])


def main():
    loader = unittest.defaultTestLoader
    if sys.argv[1:] == ["--list"]:
        for group in (Nodes, Signals, Deaths, Ports, WrongUse):
            for name in loader.getTestCaseNames(group):
                print(f"{group.__name__}.{name}")
        return 0
    result = unittest.TextTestRunner(verbosity=2).run(loader.loadTestsFromName(sys.argv[1], sys.modules[__name__]))
    if result.skipped:
        return 77
    return 0 if result.wasSuccessful() and result.testsRun > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
