"""Several machines out of one, made of namespaces: for tests of jobs on several hosts. Needs root, iproute2, util-linux.

Each node has its own network (10.78.<cluster>.<i>, by a bridge in a namespace of its own), host name, /dev/shm and System V
IPC. File system, users and process ids are those of the machine. Nothing outside the namespaces is changed; they live as long
as the processes in them, so that close() leaves nothing.
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

NAMESPACES = ["--net", "--uts", "--ipc", "--mount"]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
START_S = 20


def why_not():
    """Why no cluster can be made here; None: it can."""
    if os.geteuid() != 0:
        return "namespaces need root"
    for tool in ("ip", "nsenter", "unshare"):
        if shutil.which(tool, path=PATH) is None:
            return f"there is no '{tool}'"
    trial = subprocess.run(["unshare", *NAMESPACES, "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False)
    return None if trial.returncode == 0 else f"no namespaces: {trial.stderr.strip()}"


def wait_for(condition, what, patience=START_S):
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience} s for {what}")
        time.sleep(0.01)


def network_of(pid):
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/net")
    return None


class Node:
    def __init__(self, name, holder):
        self.name, self.holder, self.network = name, holder, network_of(holder.pid)

    def enter(self, *words):
        """Words that execute `words` on the node, with the environment of a fresh login."""
        return ["nsenter", "--target", str(self.holder.pid), *NAMESPACES, f"--wd={os.getcwd()}", "env", "-i", f"PATH={PATH}",
                "HOME=/root", "LANG=C.UTF-8", *words]

    def run(self, *words):
        return subprocess.run(self.enter(*words), capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout

    def processes(self):
        return [int(entry) for entry in os.listdir("/proc")
                if entry.isdigit() and int(entry) != self.holder.pid and network_of(entry) == self.network]

    def shared_memory(self):
        return sorted(os.listdir(f"/proc/{self.holder.pid}/root/dev/shm"))

    def signal_all(self, number):
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def die(self):
        """Loss of the machine, as far as its processes go: all at once, and those that are being started as well."""
        while self.processes():
            self.signal_all(signal.SIGKILL)


class Cluster:
    def __init__(self, count):
        self.number = os.getpid() % 250 + 1
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pflight-cluster-"))
        self.nodes = []
        self.switch = self._holder("switch")
        try:
            self._in(self.switch, "ip", "link", "add", "name", "br0", "type", "bridge")
            self._in(self.switch, "ip", "link", "set", "br0", "up")
            hosts = "".join(f"{self.address(i)} node{i}\n" for i in range(1, count + 1))
            (self.folder / "hosts").write_text("127.0.0.1 localhost\n" + hosts, encoding="utf-8")
            for i in range(1, count + 1):
                self._add_node(i)
        except BaseException:
            self.close()
            raise

    def address(self, i):
        return f"10.78.{self.number}.{i}"

    def node(self, i):
        return self.nodes[i - 1]

    def close(self):
        for node in [*self.nodes, self.switch]:
            node.die()
            node.holder.kill()
            node.holder.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def cut(self, i):
        """The network loses all packets of the node, silently."""
        self._in(self.switch, "ip", "link", "set", f"port{i}", "nomaster")

    def mend(self, i):
        self._in(self.switch, "ip", "link", "set", f"port{i}", "master", "br0")

    def remote_shell(self):
        """A command to be called as ssh is."""
        return f"{sys.executable} {os.path.abspath(__file__)} {self.folder}"

    def _holder(self, name):
        holder = subprocess.Popen(["unshare", *NAMESPACES, "--propagation", "private", "sleep", "infinity"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
        def sleeps():
            return pathlib.Path(f"/proc/{holder.pid}/comm").read_text(encoding="utf-8").strip() == "sleep"
        wait_for(sleeps, f"the namespaces of {name}")
        (self.folder / name).write_text(str(holder.pid), encoding="utf-8")
        return Node(name, holder)

    @staticmethod
    def _in(node, *words):
        subprocess.run(node.enter(*words), check=True, stdin=subprocess.DEVNULL)

    def _add_node(self, i):
        node = self._holder(f"node{i}")
        self.nodes.append(node)
        self._in(self.switch, "ip", "link", "add", "name", f"port{i}", "type", "veth", "peer", "name", "eth0", "netns",
                 str(node.holder.pid))
        self._in(self.switch, "ip", "link", "set", f"port{i}", "master", "br0", "up")
        self._in(node, "hostname", f"node{i}")
        self._in(node, "ip", "link", "set", "lo", "up")
        self._in(node, "ip", "addr", "add", f"{self.address(i)}/24", "dev", "eth0")
        self._in(node, "ip", "link", "set", "eth0", "up")
        self._in(node, "mount", "-t", "tmpfs", "-o", "mode=1777,size=1g", f"node{i}", "/dev/shm")
        self._in(node, "mount", "--bind", str(self.folder / "hosts"), "/etc/hosts")


def remote_shell(folder, host, line):
    """What ssh does: the command's input and output pass through this process, and break when it dies."""
    try:
        pid = (pathlib.Path(folder) / host).read_text(encoding="utf-8")
    except OSError:
        print(f"rsh: connect to host {host}: No route to host", file=sys.stderr)
        return 255
    command = ["nsenter", "--target", pid, *NAMESPACES, "env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", "/bin/sh", "-c",
               line]
    there = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if os.fork() == 0:  # from here to there; ends with the input, or with this process
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        there.stdout.close()
        os.close(1)
        with contextlib.suppress(OSError):
            while data := os.read(0, 65536):
                os.write(there.stdin.fileno(), data)
        os._exit(0)
    there.stdin.close()
    with contextlib.suppress(OSError):
        while data := os.read(there.stdout.fileno(), 65536):
            os.write(1, data)
    there.stdout.close()
    return there.wait()


if __name__ == "__main__":
    sys.exit(remote_shell(sys.argv[1], sys.argv[2], " ".join(sys.argv[3:])))
