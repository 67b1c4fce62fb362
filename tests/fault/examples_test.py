#!/usr/bin/env python3
"""The examples under deaths: the same digests whatever is killed, nothing left over, mistakes refused in a sentence.

usage: examples_test.py --bin FOLDER [--launch local|mpi] [--matrix FILE] CASE

PHOENIX_TEST_SCALE multiplies the number of seeds, PHOENIX_TEST_SEED is the first of them (default 1). Every run is bounded
by a timeout; a run that misses it is ended by the ids of its own processes and fails the test.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

from example_run import Failed, Result, kill, members_of_job, pids_of_job, require

RUN_TIMEOUT_S = 60
SCALE = float(os.environ.get("PHOENIX_TEST_SCALE", "1"))
FIRST_SEED = int(os.environ.get("PHOENIX_TEST_SEED", "1"))


def seeds(count):
    """FIRST_SEED and those behind it; at least one."""
    return range(FIRST_SEED, FIRST_SEED + max(1, round(count * SCALE)))


class Examples:
    def __init__(self, options):
        self.bin = options.bin
        self.launch = options.launch
        self.matrix = options.matrix
        self.jobs = 0

    def program(self, name):
        return os.path.join(self.bin, name)

    def alone(self, *words):
        command = [self.program(words[0]), *words[1:]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, stdin=subprocess.DEVNULL)
        return Result(command, done.returncode, done.stdout, done.stderr)

    def start(self, members, options, words, quiet=True):
        self.jobs += 1
        job = f"examples-{os.getpid()}-{self.jobs}"
        command = [self.program("pflight"), "run", "-n", str(members), f"--{self.launch}", *(["--quiet"] if quiet else []), "--job", job, *options,
                   self.program(words[0]), *words[1:]]
        out, err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
        process = subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        return job, command, process, out, err

    def finish(self, job, command, process, out, err):
        try:
            status = process.wait(RUN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            status = "none: it hung"
            for pid in pids_of_job(job):
                kill(pid)
            process.kill()
            process.wait()
        out.seek(0)
        err.seek(0)
        result = Result(command, status, out.read(), err.read())
        self.require_nothing_left(job, result)
        return result

    def run(self, members, options, *words):
        return self.finish(*self.start(members, options, words))

    @staticmethod
    def require_nothing_left(job, result):
        left = pids_of_job(job)
        for pid in left:
            kill(pid)
        objects = [name for name in os.listdir("/dev/shm") if job in name]
        require(not left, f"processes were left: {left}\n{result}")
        require(not objects, f"shared memory was left: {objects}\n{result}")

    def good(self, members, options, *words):
        result = self.run(members, options, *words)
        require(result.status == 0, f"the run failed\n{result}")
        return result


PLATE = ["plate", "--size", "100x100", "--steps", "60", "--digest"]
VNODES = [1, 7, 64, 1000]
KILLS = {
    "one and the coordinator": ["--fault", "kill:2@20", "--fault", "kill:coordinator@40"],
    "three of four": ["--fault", "kill:1@15", "--fault", "kill:coordinator@30", "--fault", "kill:coordinator@45"],
    "at the first step": ["--fault", "kill:0@0", "--fault", "kill:1@0"],
    "at the last step": ["--fault", "kill:coordinator@59"],
}


def plate_digest_does_not_depend_on_members_or_vnodes(examples):
    wanted = examples.alone(*PLATE, "--vnodes", "1").line("digest")
    for vnodes in VNODES:
        words = [*PLATE, "--vnodes", str(vnodes)]
        got = {"alone": examples.alone(*words)}
        for members in (1, 3, 4):
            got[f"-n {members}"] = examples.good(members, [], *words)
        for how, result in got.items():
            require(result.line("digest") == wanted, f"V = {vnodes}, {how}: wanted digest {wanted}\n{result}")


def plate_survives_planned_kills(examples):
    wanted = examples.alone(*PLATE).line("digest")
    for vnodes in VNODES:
        for name, faults in KILLS.items():
            # A VNode that nobody but one member ever had a step of is not there to be killed at: V = 1 has few victims.
            if vnodes == 1 and name != "at the last step":
                continue
            result = examples.good(4, faults, *PLATE, "--vnodes", str(vnodes))
            require(result.line("digest") == wanted, f"V = {vnodes}, {name}: wanted digest {wanted}\n{result}")


def plate_survives_with_a_tolerance(examples):
    """Reductions and stop() under kills."""
    words = ["plate", "--size", "64x64", "--steps", "5000", "--tolerance", "0.5", "--vnodes", "16", "--digest"]
    alone = examples.alone(*words)
    require("tolerance reached" in alone.out, f"it should have stopped by itself\n{alone}")
    for faults in KILLS.values():
        result = examples.good(4, faults, *words)
        require(result.prints(alone.out), f"wanted\n{alone}\ngot\n{result}")


def plate_survives_a_stopped_member(examples):
    wanted = examples.alone(*PLATE).line("digest")
    for fault in ("stop:1@20+1s", "stop:coordinator@20"):
        result = examples.good(3, ["--heartbeat-timeout", "500ms", "--fault", fault], *PLATE)
        require(result.line("digest") == wanted, f"{fault}: wanted digest {wanted}\n{result}")


def plate_survives_chaos(examples):
    wanted = examples.alone(*PLATE).line("digest")
    for seed in seeds(20):
        print(f"seed {seed}", flush=True)
        result = examples.good(4, ["--chaos", f"seed={seed},kills=3"], *PLATE)
        require(result.line("digest") == wanted, f"seed {seed}: wanted digest {wanted}\n{result}")


EVERYTHING = "kills=3,joins=4,retires=3,moves=50"


def plate_survives_joins_retirements_and_moves(examples):
    # Long enough that members that join come while there is work.
    words = ["plate", "--size", "96x96", "--vnodes", "12", "--steps", "8000", "--digest"]
    wanted = examples.alone(*words).line("digest")
    for seed in seeds(12):
        print(f"seed {seed}", flush=True)
        result = examples.good(3, ["--chaos", f"seed={seed},{EVERYTHING}"], *words)
        require(result.line("digest") == wanted, f"seed {seed}: wanted digest {wanted}\n{result}")
    for fault in ("retire:coordinator@2000", "retire:1@0", "join:3@100"):
        result = examples.good(2, ["--fault", fault, "--fault", "join:1@4000", "--fault", "retire:0@7000"], *words)
        require(result.line("digest") == wanted, f"{fault}: wanted digest {wanted}\n{result}")


def examples_survive_everything_on_several_nodes(examples):
    """Deaths of members, of all members of a node and of ports, joins, retirements and moves within nodes and between."""
    with tempfile.TemporaryDirectory() as folder:
        matrix = make_matrix(examples, folder)
        plate = ["plate", "--size", "96x96", "--vnodes", "12", "--steps", "400", "--digest"]
        cg = ["cg", "--matrix", matrix, "--vnodes", "16", "--tolerance", "0", "--max-iterations", "150", "--digest"]
        for words in (plate, cg):
            alone = examples.alone(*words)
            for seed in seeds(10):
                print(f"{words[0]}, seed {seed}", flush=True)
                result = examples.good(6, ["--emulate-nodes", "3", "--chaos", f"seed={seed},{EVERYTHING},ports=2"], *words)
                require(result.prints(alone.out), f"seed {seed}: wanted\n{alone}\ngot\n{result}")


def a_node_may_lose_all_its_members(examples):
    words = [*PLATE, "--vnodes", "12"]
    wanted = examples.alone(*words).line("digest")
    for faults in (("kill:2@10", "kill:3@20"), ("kill:0@10", "kill:1@10"), ("retire:2@10", "kill:3@30"), ("retire:0@10", "retire:1@10"),
                   ("kill:2@10", "kill:port1@15", "kill:3@20"), ("stop:2@10", "stop:3@10")):
        options = [word for fault in faults for word in ("--fault", fault)]
        result = examples.finish(*examples.start(4, ["--emulate-nodes", "2", "--heartbeat-timeout", "1s", *options], words, quiet=False))
        require(result.status == 0, f"{faults}: the run failed\n{result}")
        require(result.line("digest") == wanted, f"{faults}: wanted digest {wanted}\n{result}")
        require("has no members any more; its VNodes go on elsewhere" in result.err, f"{faults}: the node was not left\n{result}")


def a_port_that_is_not_admitted_yet_loses_no_message(examples):
    """The coordinator, which admits it, is stopped meanwhile; the VNodes that go on are far from its own. Steps take long
    enough for messages to come while the new port waits: of such runs 10 of 25 stood still when it did not."""
    words = ["plate", "--size", "4096x1024", "--vnodes", "64", "--steps", "60", "--digest"]
    wanted = examples.alone(*words).line("digest")
    for seed in seeds(8):
        options = ["--emulate-nodes", "2", "--fault", "stop:0@20+1s", "--fault", "kill:port0@20", "--chaos", f"seed={seed},moves=20"]
        result = examples.good(4, options, *words)
        require(result.line("digest") == wanted, f"seed {seed}: wanted digest {wanted}\n{result}")


def examples_may_move_at_every_step(examples):
    with tempfile.TemporaryDirectory() as folder:
        matrix = make_matrix(examples, folder)
        for words in ([*PLATE, "--vnodes", "16"], ["cg", "--matrix", matrix, "--vnodes", "9", "--digest"],
                      ["plate", "--size", "64x64", "--steps", "5000", "--tolerance", "0.5", "--vnodes", "8", "--digest"]):
            alone = examples.alone(*words)
            for options in ([], ["--chaos", "seed=5,kills=2,joins=2,retires=1"]):
                result = examples.good(3, ["--always-move", *options], *words)
                require(result.prints(alone.out), f"wanted\n{alone}\ngot\n{result}")


def cg_survives_joins_retirements_and_moves(examples):
    with tempfile.TemporaryDirectory() as folder:
        matrix = make_matrix(examples, folder)
        words = ["cg", "--matrix", matrix, "--vnodes", "16", "--tolerance", "0", "--max-iterations", "2000", "--digest"]
        alone = examples.alone(*words)
        for seed in seeds(6):
            print(f"seed {seed}", flush=True)
            result = examples.good(3, ["--chaos", f"seed={seed},{EVERYTHING}"], *words)
            require(result.prints(alone.out), f"seed {seed}: wanted\n{alone}\ngot\n{result}")


def plate_survives_kills_from_outside(examples):
    # Long enough that a kill meets it at work; how long it runs otherwise does not matter.
    words = ["plate", "--size", "200x200", "--vnodes", "64", "--steps", "3000", "--digest"]
    wanted = examples.alone(*words).line("digest")
    for seed in seeds(8):
        chance = random.Random(seed)
        print(f"seed {seed}", flush=True)
        started = examples.start(4, [], words)
        job, process = started[0], started[2]
        deadline = time.monotonic() + RUN_TIMEOUT_S
        kills = 0
        while kills < 3 and process.poll() is None and time.monotonic() < deadline:
            # Not synchronisation: a random moment is what is wanted, whatever state it meets.
            time.sleep(chance.uniform(0.0, 0.2))
            members = members_of_job(job, "plate")
            # Under mpirun a job begins when all have attached; a death before that is the launcher's to report.
            if len(members) + kills == 4 and kill(chance.choice(members)):
                kills += 1
        result = examples.finish(*started)
        result.killed = kills
        require(result.status == 0 and result.line("digest") == wanted,
                f"seed {seed}, {kills} kills: wanted digest {wanted}\n{result}")
        print(f"seed {seed}: {kills} kills", flush=True)


def make_matrix(examples, folder):
    path = os.path.join(folder, "small.mtx")
    with open(path, "w") as file:
        subprocess.run([examples.program("make_matrix"), "--rows", "40", "--columns", "30"], stdout=file, check=True,
                       timeout=RUN_TIMEOUT_S)
    return path


def cg_is_the_same_for_all_members(examples):
    with tempfile.TemporaryDirectory() as folder:
        matrices = [make_matrix(examples, folder)] + ([examples.matrix] if examples.matrix else [])
        for matrix in matrices:
            for vnodes in VNODES:
                words = ["cg", "--matrix", matrix, "--vnodes", str(vnodes), "--digest"]
                if vnodes == 1000 and matrix != matrices[0]:
                    words += ["--tolerance", "0", "--max-iterations", "40"]
                alone = examples.alone(*words)
                require(alone.status == 0, f"alone it failed\n{alone}")
                if "--max-iterations" not in words:
                    require(float(alone.line("relative residual")) < 2e-8, f"the residual is too large\n{alone}")
                runs = [(1, []), (3, []), (4, [])]
                if vnodes > 1:
                    runs += [(4, KILLS["one and the coordinator"]), (4, KILLS["three of four"])]
                for members, faults in runs:
                    result = examples.good(members, faults, *words)
                    require(result.prints(alone.out), f"wanted\n{alone}\ngot\n{result}")


def two_programs_may_share_a_checkpoint_directory(examples):
    """What one has done once is nothing to the other."""
    with tempfile.TemporaryDirectory() as folder:
        programs = [["plate", "--size", "60x60", "--steps", "40", "--vnodes", "6", "--digest"],
                    ["cg", "--matrix", make_matrix(examples, folder), "--vnodes", "6", "--digest"]]
        saved = os.path.join(folder, "saved")
        wanted = [examples.good(2, ["--checkpoint", saved, "--checkpoint-every", "15"], *words) for words in programs]
        for words, first in zip(programs, wanted):
            again = examples.good(3, ["--restart", saved], *words)
            require(again.line("digest") == first.line("digest"), f"wanted\n{first}\ngot\n{again}")
        other = os.path.join(folder, "other")
        examples.good(2, ["--checkpoint", other, "--checkpoint-every", "15"], *programs[1])
        result = examples.run(2, ["--restart", other], *programs[0])
        require(result.status == 1 and "plate" in result.err and result.err.count("\n") == 1,
                f"one sentence about the missing checkpoint is wanted\n{result}")


def queens_counts_while_vnodes_change_hands(examples):
    for members in (1, 2, 4):
        result = examples.good(members, [], "queens", "--board", "12", "--vnodes", "64")
        require("14200 solutions" in result.out, f"wrong count\n{result}")
    # Long enough that the others come while there is work to hand over.
    result = examples.good(4, [], "queens", "--board", "14", "--vnodes", "64")
    require("365596 solutions" in result.out, f"wrong count\n{result}")
    require(int(result.line("hand-overs").split()[0]) > 0, f"nothing changed hands\n{result}")


def queens_says_that_it_cannot_survive_a_death(examples):
    started = examples.start(3, [], ["queens", "--board", "17", "--vnodes", "64"])
    job, process = started[0], started[2]
    deadline = time.monotonic() + RUN_TIMEOUT_S
    victim = None
    while victim is None and process.poll() is None and time.monotonic() < deadline:
        members = members_of_job(job, "queens")
        if len(members) == 3:
            time.sleep(0.5)  # not synchronisation: at any moment from here on the outcome must be the same
            victim = members[1] if kill(members[1]) else None
    result = examples.finish(*started)
    require(victim is not None, f"nobody was killed\n{result}")
    require(result.status == 1, f"status 1 is wanted\n{result}")
    require("Space" in result.err or "space" in result.err, f"the reason should be named\n{result}")


def write_h5(path, name, shape):
    import h5py
    import numpy
    with h5py.File(path, "w") as file:
        file[name] = numpy.zeros(shape)


def mistakes_are_refused_in_a_sentence(examples):
    with tempfile.TemporaryDirectory() as folder:
        cube = os.path.join(folder, "cube.h5")
        write_h5(cube, "heat", (2, 3, 4))
        general = os.path.join(folder, "general.mtx")
        with open(general, "w") as file:
            file.write("%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 1\n")
        malformed = os.path.join(folder, "malformed.mtx")
        with open(malformed, "w") as file:
            file.write("%%MatrixMarket matrix coordinate real symmetric\n% a comment\n2 2 2\n1 1 1\n3 1 1\n")
        pipe = os.path.join(folder, "pipe")
        os.mkfifo(pipe)
        indefinite = os.path.join(folder, "indefinite.mtx")
        with open(indefinite, "w") as file:
            file.write("%%MatrixMarket matrix coordinate real symmetric\n2 2 3\n1 1 1\n2 1 5\n2 2 2\n")
        mistakes = [
            (["plate", "--size", "10by10"], "is not ROWSxCOLUMNS"),
            (["plate", "--vnodes", "0"], "--vnodes must be at least 1"),
            (["plate", "--size", "10x10", "--vnodes", "101"], "101 VNodes do not divide"),
            (["plate", "--colour", "red"], "--colour"),
            (["plate", "--input", os.path.join(folder, "absent.h5") + ":/heat"], "No such file"),
            (["plate", "--input", cube + ":/heat"], "has 3 dimensions, a plate has 2"),
            # So many steps that a run which does not check first would miss the timeout.
            (["plate", "--steps", "1000000000", "--output", os.path.join(folder, "absent", "out.h5")], "cannot write"),
            (["plate", "--steps", "1000000000", "--picture", folder], "cannot write"),
            # A rename would replace it, as it would a device.
            (["plate", "--steps", "1000000000", "--output", pipe], "no regular file"),
            (["cg", "--matrix", general], "general.mtx, line 1: the symmetry is 'general'"),
            (["cg", "--matrix", malformed], "malformed.mtx, line 5: row 3 is not in 1 .. 2"),
            (["cg", "--matrix", indefinite, "--vnodes", "2"], "not positive definite"),
            (["cg", "--matrix", indefinite, "--vnodes", "3"], "3 VNodes for the 2 rows"),
            (["cg"], "--matrix is required"),
            (["queens", "--board", "0"], "--board must be 1 to 24"),
        ]
        for words, sentence in mistakes:
            result = examples.alone(*words)
            require(result.status == 1 and sentence in result.err, f"alone: status 1 and '{sentence}' are wanted\n{result}")
            require(result.err.count("\n") == 1, f"alone: one line is wanted\n{result}")
            result = examples.run(3, [], *words)
            require(result.status == 1, f"status 1 is wanted\n{result}")
            require(result.err.count(sentence) == 1, f"'{sentence}' is wanted once\n{result}")
        require(sorted(os.listdir(folder)) == ["cube.h5", "general.mtx", "indefinite.mtx", "malformed.mtx", "pipe"],
                f"something was left: {os.listdir(folder)}")


def plate_reads_and_writes_files(examples):
    import h5py
    import numpy
    with tempfile.TemporaryDirectory() as folder:
        first, second, picture = (os.path.join(folder, name) for name in ("first.h5", "second.h5", "plate.png"))
        words = ["plate", "--size", "60x80", "--digest"]
        whole = examples.good(3, [], *words, "--steps", "50")
        examples.good(3, [], *words, "--steps", "20", "--output", first)
        rest = examples.good(2, ["--fault", "kill:1@10"], "plate", "--input", first + ":/heat", "--steps", "30", "--vnodes", "7",
                             "--output", second, "--picture", picture, "--digest")
        require(rest.line("digest") == whole.line("digest"), f"20 + 30 steps are not 50\n{whole}\n{rest}")
        with h5py.File(second) as file:
            heat = file["heat"][:]
        require(heat.shape == (60, 80) and numpy.all(heat[0] == 100) and 0 < heat[1, 40] < 100, "the output is wrong")
        with open(picture, "rb") as file:
            header = file.read(24)
        require(header[:8] == b"\x89PNG\r\n\x1a\n" and header[16:24] == b"\0\0\0\x50\0\0\0\x3c", "the picture is wrong")
        require(sorted(os.listdir(folder)) == ["first.h5", "plate.png", "second.h5"], f"left: {os.listdir(folder)}")


def steps_are_the_same_when_repeated(examples):
    with tempfile.TemporaryDirectory() as folder:
        matrix = make_matrix(examples, folder)
        wanted = examples.alone(*PLATE).line("digest")
        result = examples.good(2, ["--verify-replay"], *PLATE, "--vnodes", "16")
        require(result.line("digest") == wanted, f"wanted digest {wanted}\n{result}")
        words = ["cg", "--matrix", matrix, "--vnodes", "7", "--digest"]
        require(examples.good(2, ["--verify-replay"], *words).out == examples.alone(*words).out, "cg came out different")


CASES = {
    function.__name__: function
    for function in (
        plate_digest_does_not_depend_on_members_or_vnodes,
        plate_survives_planned_kills,
        plate_survives_with_a_tolerance,
        plate_survives_a_stopped_member,
        plate_survives_chaos,
        plate_survives_joins_retirements_and_moves,
        cg_survives_joins_retirements_and_moves,
        examples_survive_everything_on_several_nodes,
        a_node_may_lose_all_its_members,
        a_port_that_is_not_admitted_yet_loses_no_message,
        examples_may_move_at_every_step,
        plate_survives_kills_from_outside,
        plate_reads_and_writes_files,
        cg_is_the_same_for_all_members,
        two_programs_may_share_a_checkpoint_directory,
        queens_counts_while_vnodes_change_hands,
        queens_says_that_it_cannot_survive_a_death,
        mistakes_are_refused_in_a_sentence,
        steps_are_the_same_when_repeated,
    )
}


def main(cases):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, help="folder of pflight and the examples")
    parser.add_argument("--launch", choices=("local", "mpi"), default="local")
    parser.add_argument("--matrix", help="a further matrix for cg")
    parser.add_argument("case", choices=sorted(cases))
    options = parser.parse_args()
    try:
        cases[options.case](Examples(options))
    except (Failed, subprocess.TimeoutExpired) as failure:
        print(f"{options.case} failed: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(CASES))
