"""Jobs on several hosts, on a cluster of namespaces: launched from node1, agents started through a remote shell.

usage: hosts_test.py --list | CASE     with PFLIGHT, TEST_MEMBER, PLATE, CG and MAKE_MATRIX in the environment
PHOENIX_TEST_SCALE multiplies the number of seeds, PHOENIX_TEST_SEED is the first of them (default 1).
A case that cannot run here exits with 77 and says why.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from cluster import Cluster, wait_for, why_not

PFLIGHT = os.environ.get("PFLIGHT", "")
MEMBER = os.environ.get("TEST_MEMBER", "")
PLATE = os.environ.get("PLATE", "")
CG = os.environ.get("CG", "")
MAKE_MATRIX = os.environ.get("MAKE_MATRIX", "")
SCALE = float(os.environ.get("PHOENIX_TEST_SCALE", "1"))
FIRST_SEED = int(os.environ.get("PHOENIX_TEST_SEED", "1"))
# Far beyond anything seen: only a hang meets it, and then the test has failed.
PATIENCE = 90
PLATE_WORDS = ["--size", "96x96", "--vnodes", "12", "--digest"]
# Long enough for whatever is done to it from outside; the test ends it or waits for it.
LONG = ["--size", "256x256", "--vnodes", "12", "--steps", "20000", "--digest"]


def digest_of(text):
    found = re.search(r"^digest: (\S+)$", text, re.M)
    return found.group(1) if found else "none was printed"


class HostsTest(unittest.TestCase):
    nodes = 3

    def setUp(self):
        self.cluster = Cluster(self.nodes)
        self.addCleanup(self.cluster.close)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pflight-hosts-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def command(self, *words, hosts="node1:2,node2:2,node3:2", shell=None):
        return self.cluster.node(1).enter(PFLIGHT, "run", "--hosts", hosts, "--remote-shell", shell or self.cluster.remote_shell(), *words)

    def start(self, *words, **more):
        self.output = open(self.folder / "output", "w+", encoding="utf-8")
        self.addCleanup(self.output.close)
        self.errors = open(self.folder / "errors", "w+", encoding="utf-8")
        self.addCleanup(self.errors.close)
        job = subprocess.Popen(self.command(*words, **more), stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.errors)
        self.addCleanup(job.wait)
        self.addCleanup(job.kill)
        return job

    def text(self, name="output"):
        return (self.folder / name).read_text(encoding="utf-8")

    def finish(self, job):
        try:
            return job.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.fail(f"hangs; it said: {self.text()}{self.text('errors')}")

    def run_job(self, *words, status=0, **more):
        job = self.start(*words, **more)
        self.assertEqual(self.finish(job), status, self.text() + self.text("errors"))
        self.assert_nothing_left()
        return self.text()

    def assert_nothing_left(self, *nodes):
        for i in nodes or range(1, self.nodes + 1):
            node = self.cluster.node(i)
            wait_for(lambda node=node: not node.processes(), f"the processes of {node.name} to end", PATIENCE)
            self.assertEqual(node.shared_memory(), [], f"in /dev/shm of {node.name}")

    def members_on(self, i, program):
        def is_member(pid):
            try:
                return os.path.basename(os.readlink(f"/proc/{pid}/exe")) == os.path.basename(program)
            except OSError:
                return False
        return [pid for pid in self.cluster.node(i).processes() if is_member(pid)]

    def words_of(self, pid):
        try:
            return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
        except OSError:
            return []

    def wait_for_steps(self, job):
        """All members of all nodes execute steps."""
        def run():
            return job.poll() is not None or all(len(self.members_on(i, PLATE)) == 2 for i in range(1, self.nodes + 1))
        wait_for(run, "members on all nodes")
        # Each says how far it is in its shared memory. VNodes of neighbouring nodes wait for each other, so after some
        # steps all ports know all others.
        def moves_on(i):
            shown = subprocess.run(self.cluster.node(i).enter(PFLIGHT, "status", "--json"), capture_output=True, text=True,
                                   check=False).stdout
            return re.search(r'"step_min": *([1-9][0-9]|[3-9])', shown) is not None
        wait_for(lambda: job.poll() is not None or all(moves_on(i) for i in range(1, self.nodes + 1)), "steps")
        self.assertIsNone(job.poll(), self.text("errors"))

    def plain_digest(self, *words):
        done = subprocess.run([PFLIGHT, "run", "-q", "-n", "1", "--local", PLATE, *words], capture_output=True, text=True, check=True,
                              timeout=PATIENCE)
        self.assertIn("digest", done.stdout)
        return digest_of(done.stdout)


class Hosts(HostsTest):
    def test_results_are_those_of_one_machine(self):
        words = [*PLATE_WORDS, "--steps", "200"]
        self.assertEqual(digest_of(self.run_job("-q", PLATE, *words)), self.plain_digest(*words))
        self.assertEqual(self.text("errors"), "")

    def test_results_survive_everything(self):
        self.check_chaos(4, [*PLATE_WORDS, "--steps", "300"])

    def test_results_survive_everything_by_mpi(self):
        self.need_mpi()
        # Long enough for MPI to come up meanwhile.
        self.check_chaos(2, [*PLATE_WORDS, "--steps", "3000"], "--between", "mpi:1K")

    def check_chaos(self, seeds, words, *options):
        expected = self.plain_digest(*words)
        for seed in range(FIRST_SEED, FIRST_SEED + max(1, round(seeds * SCALE))):
            with self.subTest(seed=seed):
                chaos = f"seed={seed},kills=3,joins=4,retires=3,moves=50,ports=2"
                self.assertEqual(digest_of(self.run_job("-q", *options, "--chaos", chaos, PLATE, *words)), expected)

    def test_cg_survives_everything(self):
        with open(self.folder / "matrix.mtx", "wb") as matrix:
            subprocess.run([MAKE_MATRIX, "--rows", "40", "--columns", "30"], stdout=matrix, check=True, timeout=PATIENCE)
        words = [CG, "--matrix", str(self.folder / "matrix.mtx"), "--vnodes", "10", "--digest"]
        plain = subprocess.run([PFLIGHT, "run", "-q", "-n", "1", "--local", *words], capture_output=True, text=True, timeout=PATIENCE,
                               check=False)
        self.assertEqual(plain.returncode, 0, plain.stderr)
        self.assertIn("digest", plain.stdout)
        for seed in range(FIRST_SEED, FIRST_SEED + max(1, round(2 * SCALE))):
            with self.subTest(seed=seed):
                chaos = f"seed={seed},kills=3,joins=4,retires=3,moves=50,ports=2"
                self.assertEqual(digest_of(self.run_job("-q", "--chaos", chaos, *words)), digest_of(plain.stdout))

    def test_members_are_where_they_were_asked_for(self):
        said = self.run_job(MEMBER, "attach", "barrier", "say={node}.{slot}", "leave", hosts="node1,node2:3,node3:2")
        self.assertEqual(sorted(said.split()), ["0.0", "1.0", "1.1", "1.2", "2.0", "2.1"])

    def test_one_other_host_is_enough(self):
        said = self.run_job(MEMBER, "attach", "barrier", "say={slot}", "leave", hosts="node2:2")
        self.assertEqual(sorted(said.split()), ["0", "1"])

    def test_a_hostfile_and_a_number_of_members(self):
        (self.folder / "hosts").write_text("# ours\nnode1 slots=2 max_slots=4\n\nnode2:2\nnode3\n", encoding="utf-8")
        command = [word for word in self.command("--hostfile", str(self.folder / "hosts"), "-n", "3", MEMBER, "attach", "barrier",
                                                 "say={node}.{slot}", "leave") if word not in ("--hosts", "node1:2,node2:2,node3:2")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(done.stdout.split()), ["0.0", "0.1", "1.0"])
        self.assert_nothing_left()

    def need_mpi(self):
        if not pathlib.Path(PFLIGHT).with_name("pflight-port").exists():
            self.skipTest("this pflight was built without MPI")

    def test_mpi_carries_between_hosts(self):
        self.need_mpi()
        words = [*PLATE_WORDS, "--steps", "20000"]
        expected = self.plain_digest(*words)
        job = self.start("--between", "mpi:1K", "--chaos", "seed=2,moves=200", "--progress", "never", PLATE, *words)
        def carried():
            shown = subprocess.run(self.cluster.node(2).enter(PFLIGHT, "status", "--json"), capture_output=True, text=True,
                                   check=False).stdout
            return re.search(r'"mpi_frames": *[1-9]', shown) is not None
        wait_for(lambda: job.poll() is not None or carried(), "frames by MPI")
        self.assertIsNone(job.poll(), self.text("errors"))
        self.assertEqual(self.finish(job), 0, self.text("errors"))
        self.assertEqual(digest_of(self.text()), expected)
        self.assert_nothing_left()

    def test_inside_slurm_its_hosts_are_used_and_srun_starts_the_agents(self):
        """A stand-in for srun and scontrol: what they are asked is what the real ones take."""
        tools = self.folder / "bin"
        tools.mkdir()
        (tools / "scontrol").write_text('#!/bin/sh\n[ "$*" = "show hostnames node[1-3]" ] && printf "node1\\nnode2\\nnode3\\n"\n',
                                        encoding="utf-8")
        (tools / "srun").write_text('#!/bin/sh\necho "$*" >> "$ASKED"\nwhile :; do case $1 in --nodelist=*) host=${1#*=} ;; --*) ;; '
                                    f'*) break ;; esac; shift; done\nexec {self.cluster.remote_shell()} "$host" "exec $*"\n',
                                    encoding="utf-8")
        for tool in tools.iterdir():
            tool.chmod(0o755)
        job = self.cluster.node(1).enter(f"PATH={tools}:/usr/bin:/bin", f"ASKED={self.folder}/asked", "SLURM_JOB_ID=7",
                                         "SLURM_JOB_NODELIST=node[1-3]", "SLURM_TASKS_PER_NODE=2,1(x2)", PFLIGHT, "run", "--agents",
                                         MEMBER, "attach", "barrier", "say={node}.{slot}", "leave")
        done = subprocess.run(job, capture_output=True, text=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(done.stdout.split()), ["0.0", "0.1", "1.0", "2.0"])
        asked = sorted((self.folder / "asked").read_text(encoding="utf-8").splitlines())
        self.assertEqual(len(asked), 2)  # node1 is this machine
        for line, host in zip(asked, ("node2", "node3"), strict=True):
            self.assertRegex(line, rf"^--nodes=1 --ntasks=1 .*--overlap .*--no-kill .*--nodelist={host} {PFLIGHT} agent$")
        self.assert_nothing_left()

    def test_ports_listen_where_the_launcher_says_and_nowhere_else(self):
        job = self.start("-q", PLATE, *LONG)
        self.wait_for_steps(job)
        for i in range(1, self.nodes + 1):
            lines = self.cluster.node(i).run("cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
            listening = [line.split()[1] for line in lines if len(line.split()) > 3 and line.split()[3] == "0A"]
            numbers = bytes(reversed([int(part) for part in self.cluster.address(i).split(".")])).hex().upper()
            self.assertEqual([address.split(":")[0] for address in listening], [numbers], f"node{i}")
        job.send_signal(signal.SIGTERM)
        self.finish(job)
        self.assert_nothing_left()

    def test_the_network_may_be_named(self):
        network = ".".join(self.cluster.address(1).split(".")[:3]) + ".0/24"
        said = self.run_job("--network", network, MEMBER, "attach", "barrier", "say=here", "leave")
        self.assertEqual(said.split(), ["here"] * 6)

    def test_variables_reach_the_members_that_are_named(self):
        said = self.run_job("-x", "COLOUR=blue or 'green'", "/usr/bin/env", hosts="node2:1", status=1)  # env is no member
        self.assertIn("COLOUR=blue or 'green'\n", said)

    def test_what_members_print_arrives_byte_by_byte(self):
        script = self.folder / "bytes"
        script.write_text("#!/bin/sh\nhead -c 300000 /dev/urandom > $1; cat $1\n", encoding="utf-8")
        script.chmod(0o755)
        with open(self.folder / "binary", "wb") as output:
            subprocess.run(self.command(str(script), str(self.folder / "original"), hosts="node2:1"), stdout=output,
                           stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False)
        self.assertEqual((self.folder / "binary").read_bytes(), (self.folder / "original").read_bytes())
        self.assertEqual(len((self.folder / "original").read_bytes()), 300000)


    def test_a_reader_that_stops_reading_does_not_keep_anybody_from_ending_the_job(self):
        script = self.folder / "chatter"
        script.write_text("#!/bin/sh\nexec yes\n", encoding="utf-8")
        script.chmod(0o755)
        with subprocess.Popen(self.command(str(script), hosts="node2:1"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as job:
            self.addCleanup(job.kill)
            wait_for(lambda: self.members_on(2, "/usr/bin/yes"), "the program")
            yes = self.members_on(2, "/usr/bin/yes")[0]
            # Once everything between is full it waits: its output is no longer taken.
            wait_for(lambda: "pipe_write" in pathlib.Path(f"/proc/{yes}/stack").read_text(encoding="utf-8")
                     and self.written_by(yes) == self.written_by(yes, 0.3), "the pipes to be full", PATIENCE)
            launcher = next(pid for pid in self.cluster.node(1).processes() if self.words_of(pid)[1:2] == ["run"])
            os.kill(launcher, signal.SIGINT)
            self.assertEqual(job.wait(timeout=PATIENCE), 130)
        self.assert_nothing_left()

    def written_by(self, pid, after=0.0):
        time.sleep(after)  # what it writes meanwhile is what is asked for
        io = pathlib.Path(f"/proc/{pid}/io").read_text(encoding="utf-8")
        return int(re.search(r"wchar: (\d+)", io).group(1))


class Loss(HostsTest):
    """What is outside of the job's hands: machines, networks, remote shells."""

    def test_loss_of_a_host_ends_the_job_with_its_reason(self):
        job = self.start("--start-timeout", "3s", "--progress", "never", PLATE, *LONG)
        self.wait_for_steps(job)
        self.cluster.node(3).die()
        self.assertEqual(self.finish(job), 1)
        self.assertIn("pflight: Node 2 cannot be reached any more, and what its VNodes had done is lost", self.text("errors"))
        self.assert_nothing_left(1, 2)

    def test_a_network_that_comes_back_costs_nothing(self):
        expected = self.plain_digest(*PLATE_WORDS, "--steps", "20000")
        job = self.start("-q", PLATE, *PLATE_WORDS, "--steps", "20000")
        self.wait_for_steps(job)
        self.cluster.cut(2)
        # Long enough for ports to have given the link up: they say so in their own way, by calling again.
        wait_for(lambda: job.poll() is not None or self.calls_again(1, 2), "ports to call again", PATIENCE)
        self.cluster.mend(2)
        self.assertEqual(self.finish(job), 0, self.text("errors"))
        self.assertEqual(digest_of(self.text()), expected)
        self.assert_nothing_left()

    def calls_again(self, here, there):
        """A connection from one node to the other is being made, or there is none at all."""
        lines = self.cluster.node(here).run("cat", "/proc/net/tcp").splitlines()[1:]
        remote = bytes(reversed([int(part) for part in self.cluster.address(there).split(".")])).hex().upper()
        states = [line.split()[3] for line in lines if line.split()[2].startswith(remote)]
        return "01" not in states

    def test_both_sides_of_a_cut_network_end(self):
        job = self.start("--start-timeout", "2s", "--progress", "never", PLATE, *LONG)
        self.wait_for_steps(job)
        self.cluster.cut(3)
        # The remote shell does not use this network, so all three say how they end.
        self.assertEqual(self.finish(job), 1)
        self.assertRegex(self.text("errors"), r"pflight: Node \d cannot be reached any more")
        self.assert_nothing_left()

    def test_the_job_goes_on_without_a_remote_shell(self):
        expected = self.plain_digest(*PLATE_WORDS, "--steps", "20000")
        job = self.start("--progress", "never", PLATE, *PLATE_WORDS, "--steps", "20000")
        self.wait_for_steps(job)
        shell = next(pid for pid in self.cluster.node(1).processes() if "node3" in self.words_of(pid)[:5])
        os.kill(shell, signal.SIGKILL)
        self.assertEqual(self.finish(job), 0, self.text("errors"))
        self.assertIn("The way to the agent of node 2 on host 'node3' is gone (SIGKILL)", self.text("errors"))
        if "digest" in self.text():  # else it was printed on node3
            self.assertEqual(digest_of(self.text()), expected)
        self.assert_nothing_left()

    def test_the_job_goes_on_without_an_agent(self):
        expected = self.plain_digest(*PLATE_WORDS, "--steps", "20000")
        job = self.start("--progress", "never", PLATE, *PLATE_WORDS, "--steps", "20000")
        self.wait_for_steps(job)
        os.kill(next(pid for pid in self.cluster.node(3).processes() if self.words_of(pid)[1:] == ["agent"]), signal.SIGKILL)
        self.assertEqual(self.finish(job), 0, self.text("errors"))
        self.assertIn("The way to the agent of node 2 on host 'node3' is gone (exit status", self.text("errors"))
        if "digest" in self.text():  # else it was printed on node3
            self.assertEqual(digest_of(self.text()), expected)
        self.assert_nothing_left()

    def test_nodes_finish_without_the_launcher(self):
        job = self.start("-q", PLATE, *PLATE_WORDS, "--steps", "20000")
        self.wait_for_steps(job)
        launcher = next(pid for pid in self.cluster.node(1).processes() if self.words_of(pid)[1:2] == ["run"])
        os.kill(launcher, signal.SIGKILL)
        self.assert_nothing_left()

    def test_an_interruption_ends_all_hosts(self):
        job = self.start("--progress", "never", PLATE, *LONG)
        self.wait_for_steps(job)
        launcher = next(pid for pid in self.cluster.node(1).processes() if self.words_of(pid)[1:2] == ["run"])
        os.kill(launcher, signal.SIGINT)
        self.assertEqual(self.finish(job), 130)
        self.assertEqual(self.text("errors"), "pflight: Interrupted by Ctrl-C; all members were ended.\n")
        self.assert_nothing_left()


class Mistakes(HostsTest):
    """One sentence with its remedy, on stderr, and nothing left."""

    def refused(self, sentence, *words, status=1, **more):
        self.run_job(*words, status=status, **more)
        said = [line for line in self.text("errors").splitlines() if line.startswith("pflight: ")]
        self.assertEqual(len(said), 1, self.text("errors"))
        self.assertRegex(said[0], sentence)

    def test_a_host_without_an_address(self):
        self.refused(r"Host 'nowhere' has no IPv4 address .*; write its name", PLATE, hosts="node1:1,nowhere:1", status=2)

    def test_a_host_that_cannot_be_reached(self):
        other = self.cluster.address(77)
        self.refused(rf"No agent could be started on host '{other}' \(its remote shell ended with exit status 255\)", PLATE,
                     hosts=f"node1:1,{other}:1")
        self.assertIn("No route to host", self.text("errors"))

    def test_a_program_that_is_not_on_the_other_host(self):
        private = self.cluster.node(1)
        copy = f"/proc/{private.holder.pid}/root/dev/shm/program"
        shutil.copy(MEMBER, copy)
        job = self.start("/dev/shm/program", "attach", "barrier", "leave", hosts="node1:1,node2:1")
        self.assertEqual(self.finish(job), 1)
        self.assertIn("'/dev/shm/program' cannot be started: No such file or directory", self.text("errors"))
        os.unlink(copy)
        self.assert_nothing_left()

    def test_a_directory_that_is_not_on_the_other_host(self):
        private = pathlib.Path(f"/proc/{self.cluster.node(1).holder.pid}/root/dev/shm/mine")
        private.mkdir()
        command = self.cluster.node(1).enter("env", "-C", "/dev/shm/mine", PFLIGHT, "run", "--hosts", "node1:1,node2:1", "--remote-shell",
                                             self.cluster.remote_shell(), MEMBER, "attach", "leave")
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL)
        private.rmdir()
        self.assertEqual((done.returncode, done.stderr),
                         (1, "pflight: Node 1 has no directory '/dev/shm/mine' to run the program in.\n"))
        self.assert_nothing_left()

    def test_a_network_that_hosts_do_not_have(self):
        self.refused(r"Node \d cannot listen: this machine has no address in 192.0.2.0/24 \(it has .*\); write --network", "--network",
                     "192.0.2.0/24", PLATE, hosts="node1:1,node2:1")

    def test_a_host_that_is_this_one_to_itself(self):
        (self.cluster.folder / "hosts").write_text("127.0.0.1 localhost\n127.0.1.1 node2\n", encoding="utf-8")
        self.refused(r"Host 'node2' is 127.0.1.1 to this machine, where others cannot reach it; write", PLATE, hosts="node1:1,node2:1",
                     status=2)

    def test_no_remote_shell(self):
        self.refused(r"There is no 'no-such-shell' on PATH to start agents on other hosts with; install it or", PLATE, shell="no-such-shell",
                     hosts="node1:1,node2:1", status=2)


def main():
    cases = [f"{case.__name__}.{name}" for case in (Hosts, Loss, Mistakes) for name in dir(case) if name.startswith("test_")]
    if sys.argv[1:] == ["--list"]:
        print("\n".join(cases))
        return 0
    if reason := why_not():
        print(f"skipped: {reason}")
        return 77
    suite = unittest.defaultTestLoader.loadTestsFromNames([f"hosts_test.{name}" for name in sys.argv[1:]])
    return 0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
