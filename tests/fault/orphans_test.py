#!/usr/bin/env python3
"""Jobs whose launcher was killed: the members finish the work and clean up.

usage: as examples_test.py
"""

import os
import signal
import subprocess
import sys
import tempfile
import time

import examples_test


def pflight_may_be_killed_before_members_attach(examples):
    """Nobody has the job's memory yet; the members make it anew, do the work and clean up."""
    with tempfile.TemporaryDirectory() as folder:
        gate, script = os.path.join(folder, "gate"), os.path.join(folder, "late.sh")
        os.mkfifo(gate)
        with open(script, "w") as file:
            file.write(f'#!/bin/sh\n: <"{gate}"\nexec "$@"\n')  # opening waits for a writer
        os.chmod(script, 0o755)
        plate = [examples.program(examples_test.PLATE[0]), *examples_test.PLATE[1:]]
        wanted = examples.alone(*examples_test.PLATE).line("digest")
        job = f"orphans-{os.getpid()}"
        with tempfile.TemporaryFile("w+") as out:
            process = subprocess.Popen([examples.program("pflight"), "run", "-n", "3", "--local", "--quiet", "--job", job,
                                        script, *plate], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            deadline = time.monotonic() + examples_test.RUN_TIMEOUT_S
            while len(examples_test.pids_of_job(job)) < 3 and time.monotonic() < deadline:
                time.sleep(0.01)  # polls a condition
            process.kill()
            process.wait()
            with open(gate, "w"):
                while examples_test.pids_of_job(job) and time.monotonic() < deadline:
                    time.sleep(0.01)  # polls a condition
            out.seek(0)
            result = examples_test.Result(["pflight", "killed"], "none", out.read(), "")
        examples.require_nothing_left(job, result)
        examples_test.require(result.line("digest") == wanted, f"wanted digest {wanted}\n{result}")


def a_stopped_member_does_not_stay_when_pflight_is_gone(examples):
    words = ["plate", "--size", "64x64", "--vnodes", "2", "--steps", "60000", "--digest"]
    wanted = examples.alone(*words).line("digest")
    started = examples.start(3, ["--heartbeat-timeout", "3s"], words)
    job, process = started[0], started[2]
    deadline = time.monotonic() + examples_test.RUN_TIMEOUT_S

    def attached(pid):  # its service thread runs
        return os.path.isdir(f"/proc/{pid}/task") and len(os.listdir(f"/proc/{pid}/task")) > 1

    while sum(map(attached, examples_test.members_of_job(job, "plate"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)  # polls a condition
    process.kill()
    process.wait()
    # The third one has no VNode: nobody waits for it, and it may be stopped to the very end.
    for pid in examples_test.members_of_job(job, "plate")[-1:]:
        os.kill(pid, signal.SIGSTOP)
    while examples_test.pids_of_job(job) and time.monotonic() < deadline:
        time.sleep(0.05)  # polls a condition
    started[3].seek(0)
    result = examples_test.Result(started[1], "killed", started[3].read(), "")
    examples.require_nothing_left(job, result)
    examples_test.require(result.line("digest") == wanted, f"wanted digest {wanted}\n{result}")


CASES = {
    function.__name__: function
    for function in (pflight_may_be_killed_before_members_attach, a_stopped_member_does_not_stay_when_pflight_is_gone)
}

if __name__ == "__main__":
    sys.exit(examples_test.main(CASES))
