"""What an example has printed, and the processes that run it."""

import os
import re
import signal


class Failed(Exception):
    pass


def require(condition, message):
    if not condition:
        raise Failed(message)


def pids_of_job(job):
    """Processes that carry the job in their environment: pflight's children, mpirun and its ranks."""
    wanted = f"PHOENIX_JOB={job}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as environment:
                if wanted in environment.read().split(b"\0"):
                    found.append(int(entry))
        except OSError:
            continue  # it ended meanwhile, or is not ours
    return found


def members_of_job(job, program):
    def is_program(pid):
        try:
            return os.path.basename(os.readlink(f"/proc/{pid}/exe")) == program
        except OSError:
            return False

    return [pid for pid in pids_of_job(job) if is_program(pid)]


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False


class Result:
    def __init__(self, command, status, out, err):
        self.command, self.status, self.out, self.err = command, status, out, err
        self.killed = 0  # from outside

    def __str__(self):
        return f"{' '.join(self.command)}\nstatus {self.status}\n--- stdout\n{self.out}--- stderr\n{self.err}"

    def deaths(self):
        """How many members may have died, each just after it had printed and before that was recorded: another prints again."""
        planned = sum(int(count) for word in self.command for count in re.findall(r"(?:kills|ports)=(\d+)", word))
        return self.killed + planned + sum(1 for word in self.command if re.match("(kill|stop):", word))

    def prints(self, text):
        return any(self.out == text * (1 + again) for again in range(1 + self.deaths()))

    def line(self, name):
        """What follows `name: `; it must be printed exactly once."""
        values = re.findall(rf"^{name}: (.*)$", self.out, re.MULTILINE)
        require(1 <= len(values) <= 1 + self.deaths() and len(set(values)) == 1, f"'{name}:' was printed {len(values)} times\n{self}")
        return values[0]
