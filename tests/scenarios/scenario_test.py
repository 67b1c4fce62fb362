"""Runs scenario.cpp under the real pflight: results under deaths, and one sentence for each kind of wrong use.

usage: scenario_test.py --list | CASE     with PFLIGHT and SCENARIO in the environment
"""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PFLIGHT = os.environ.get("PFLIGHT", "")
SCENARIO = os.environ.get("SCENARIO", "")
SCALE = float(os.environ.get("PHOENIX_TEST_SCALE", "1"))
# Far beyond anything seen: only a hang meets it, and then the test has failed. It never decides what is right.
PATIENCE = 60


def run(*words, members=4, job=None):
    """Exit status, standard output, standard error; nothing may be left of the job."""
    job = job or f"s{os.getpid()}"
    done = subprocess.run(
        [PFLIGHT, "run", "--local", "--progress", "never", "--job", job, "-n", str(members), *words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
    left = [entry.name for entry in pathlib.Path("/dev/shm").iterdir() if job in entry.name]
    assert not left, f"left in /dev/shm: {left}"
    return done.returncode, done.stdout, done.stderr


def expect(condition, *what):
    if not condition:
        raise AssertionError("\n".join(str(part) for part in what))


def good(*words, members=4):
    status, out, err = run(*words, members=members)
    expect(status == 0, f"exit status {status} of {words}", out, err)
    return out


@contextlib.contextmanager
def folder():
    path = tempfile.mkdtemp(prefix="phoenix-scenario-")
    try:
        yield path
    finally:
        shutil.rmtree(path)


def printed(got, wanted, deaths):
    """One that dies just after it printed, before that is recorded, makes another print the same again."""
    return any(got == wanted * (1 + again) for again in range(1 + deaths))


def seeds(base):
    return range(1, max(2, int(base * SCALE)) + 1)


# --- results that must not depend on who dies when

def same_under_chaos(scenario, *, members=4, kills=3, count=25, more=()):
    def case():
        wanted = good(SCENARIO, scenario, "8", "60", members=1)
        for seed in seeds(count):
            chaos = f"seed={seed},kills={kills}"
            got = good("--chaos", chaos, *more, SCENARIO, scenario, "8", "60", members=members)
            expect(printed(got, wanted, kills), f"--chaos {chaos}: {got} instead of {wanted}")
        print(f"{scenario}: seeds 1 to {len(seeds(count))} with {kills} kills each: {wanted.strip()}")
    return case


def deaths_at_phase_borders():
    wanted = good(SCENARIO, "ring", "8", "20", members=1)
    for step in (0, 1, 9):
        for target in ("1", "coordinator"):
            got = good("--fault", f"kill:{target}@{step}", "--fault", f"kill:2@{step}", SCENARIO, "ring", "8", "20")
            expect(got == wanted, f"{target}@{step}: {got} instead of {wanted}")


def stopped_member():
    wanted = good(SCENARIO, "ring", "8", "40", members=1)
    for fault in ("stop:1@5", "stop:coordinator@5", "stop:1@5+300ms"):
        got = good("--heartbeat-timeout", "1s", "--fault", fault, SCENARIO, "ring", "8", "40", members=3)
        expect(got == wanted, f"{fault}: {got} instead of {wanted}")


def restart(scenario):
    def case():
        wanted = good(SCENARIO, scenario, "8", "60", members=1)
        with folder() as base:
            good("--checkpoint", base, "--checkpoint-every", "7", "--checkpoint-keep", "20", SCENARIO, scenario, "8", "60", members=3)
            kept = sorted(pathlib.Path(base, "ring").iterdir())
            expect(len(kept) == 8, "checkpoints at 7, 14, ... 56", kept)
            for newest in (49, 28, 7):
                for path in sorted(pathlib.Path(base, "ring").iterdir()):
                    if int(re.search(r"step-(\d+)", path.name).group(1)) > newest:
                        shutil.rmtree(path)
                for members in (1, 4):
                    chaos = ("--chaos", f"seed={newest},kills=3") if members == 4 else ()
                    got = good("--restart", base, *chaos, SCENARIO, scenario, "8", "60", members=members)
                    expect(printed(got, wanted, 3 if chaos else 0), f"from {newest} with {members}: {got} instead of {wanted}")
    return case


def death_while_checkpointing():
    wanted = good(SCENARIO, "ring", "8", "60", members=1)
    for seed in seeds(6):
        with folder() as base:
            got = good("--chaos", f"seed={seed},kills=3", "--checkpoint", base, "--checkpoint-every", "1", SCENARIO, "ring", "8", "60")
            expect(printed(got, wanted, 3), f"seed {seed}: {got} instead of {wanted}")
            kept = sorted(path.name for path in pathlib.Path(base, "ring").iterdir())
            expect(kept == ["step-000000000060.g0", "step-000000000061.g0"], f"seed {seed}: the last two are kept, not {kept}")


def damaged_checkpoints():
    with folder() as base:
        good("--checkpoint", base, "--checkpoint-every", "20", SCENARIO, "ring", "8", "60", members=2)
        wanted = good(SCENARIO, "ring", "8", "60", members=1)
        older, newer = sorted(pathlib.Path(base, "ring").iterdir())
        part = newer / "part-0000.h5"
        content = part.read_bytes()
        middle = len(content) // 2
        for damage in (content[:100], content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:]):
            part.write_bytes(damage)
            status, out, err = run("--restart", base, SCENARIO, "ring", "8", "60", members=2)
            expect(status == 0 and out == wanted and "passed over a damaged checkpoint" in err, status, out, err)
        (older / "MANIFEST.json").unlink()
        status, out, err = run("--restart", base, SCENARIO, "ring", "8", "60", members=2)
        expect(status == 1 and "no checkpoint in" in err, status, out, err)


def refused_checkpoints():
    with folder() as base:
        good("--checkpoint", base, "--checkpoint-every", "20", SCENARIO, "ring", "8", "60", members=2)
        refuse(("--restart", base, SCENARIO, "ring", "9", "60"), r"8 VNodes.*the program 9")
        refuse(("--restart", base, SCENARIO, "ring-global", "8", "60"), r"checkpoint")
        os.rename(os.path.join(base, "ring"), os.path.join(base, "d"))
        refuse(("--restart", base, SCENARIO, "stop", "8", "20"), r"domain 'ring'")


def unwritable_checkpoints():
    """Checked before anything runs; a disk that fills up later does not end the run."""
    with folder() as base:
        path = pathlib.Path(base, "file")
        path.write_text("not a directory")
        refuse(("--checkpoint", str(path), "--checkpoint-every", "5", SCENARIO, "ring"), r"cannot be written to.*file", status=2)
        full = pathlib.Path(base, "later")
        full.mkdir()
        pathlib.Path(full, "ring").write_text("in the way of the domain's directory")
        done = run("--checkpoint", str(full), "--checkpoint-every", "5", SCENARIO, "ring", "8", "60")
        expect(done[0] == 0 and "The run goes on" in done[2], *done)


def full_disk():
    """Completed work stays completed: HDF5 must not crash at exit with a file it could not close."""
    with folder() as base:
        for size in ("60k", "140k", "300k"):
            script = ('mount -t tmpfs -o size="$0" none "$1" || exit 77; shift; "$@"; status=$?; '
                      'ls -d "$MOUNTED"/ring/*.partial 2>/dev/null; exit $status')
            done = subprocess.run(
                ["unshare", "-m", "bash", "-c", script, size, base, PFLIGHT, "run", "--local", "--progress", "never", "-n", "3",
                 "--checkpoint", base, "--checkpoint-every", "5", SCENARIO, "ring", "32", "60"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
                env=dict(os.environ, MOUNTED=base))
            if done.returncode in (1, 77) and ("unshare" in done.stderr or "mount:" in done.stderr):
                print("a file system of our own needs root")
                sys.exit(77)
            expect(done.returncode == 0, size, done.stdout, done.stderr)
            expect(".partial" not in done.stdout, "what was given up must be cleared away", done.stdout)
            told = re.findall(r"no checkpoint of domain 'ring' at step (\d+)", done.stderr)
            expect(len(told) == len(set(told)), "each is told once", done.stderr)
            expect(told or size == "300k", "the disk was not full", done.stderr)


def verify_replay():
    wanted = good(SCENARIO, "ring", "8", "30", members=1)
    expect(good("--verify-replay", SCENARIO, "ring", "8", "30", members=3) == wanted, "a good program passes, with the same result")
    refuse(("--verify-replay", SCENARIO, "static-variable"), r"VNode \d+ of domain 'd', step \d+: field 'f' came out different")
    refuse(("--verify-replay", SCENARIO, "random-message"), r"VNode \d+ of domain 'd', step 4: the message to VNode \d+ with tag 5 came out different")


def prints_once():
    for faults in ((), ("--fault", "kill:1@12", "--fault", "kill:coordinator@15")):
        lines = sorted(good(*faults, SCENARIO, "prints", "8", "30").split("\n")[:-1])
        wanted = sorted([f"VNode {v} step {s}" for v in range(8) for s in (0, 10, 20)] + ["done"])
        expect(lines == wanted, lines)


def nothing_recorded_is_unprinted():
    """Standard output is a pipe here, which the C library buffers."""
    out = good(SCENARIO, "last-words", "8", "1", members=2)
    expect(out == "said\n", f"one line is wanted, not {out!r}")


def bystanders_do_not_repeat():
    """Promise I7: a death makes only the steps of the dead member's own VNodes be executed again."""
    for step in (3, 40, 77):
        out = good("--fault", f"kill:1@{step}", "--fault", f"kill:2@{step + 10}", SCENARIO, "bystanders", "12", "100")
        runs = {}
        for line in out.split("\n")[:-1]:
            _, vnode, at, member = line.split()
            runs.setdefault((int(vnode), int(at)), []).append(int(member))
        expect(len(runs) == 12 * 100, "every step was executed", len(runs))
        repeated = {key: members for key, members in runs.items() if len(members) > 1}
        for key, members in repeated.items():
            expect(members[0] in (1, 2), f"VNode {key[0]} repeated step {key[1]}, but who executed it first lives: {members}")


def surplus_members():
    wanted = good(SCENARIO, "ring", "2", "40", members=1)
    got = good("--fault", "kill:0@3", "--fault", "kill:1@5", SCENARIO, "ring", "2", "40", members=5)
    expect(got == wanted, got, wanted)


def alone():
    """Without pflight: a job of one member, whose id begins with its pid, that leaves nothing behind."""
    job = subprocess.Popen([SCENARIO, "ring", "8", "30"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = job.communicate(timeout=PATIENCE)
    expect(job.returncode == 0 and out == good(SCENARIO, "ring", "8", "30", members=2), out, err)
    left = [entry.name for entry in pathlib.Path("/dev/shm").iterdir() if f".{job.pid:x}-" in entry.name]
    expect(not left, f"left in /dev/shm: {left}")
    done = subprocess.run([SCENARIO, "throws"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    expect(done.returncode == 1 and done.stderr.count("the plate has melted") == 1, done)


# --- placements

def owners(*words, members):
    """Who executed each VNode's first step, and its last, of a scenario that tells; without steps: until owners have settled."""
    return [line.split() for line in good(*words, members=members).strip().splitlines()]


def custom_placement():
    first, last = owners(SCENARIO, "dealt", "12", "10", members=3)
    expect(first == first[:3] * 4 and len(set(first)) == 3, "dealt to three members in turn", first)
    expect(last == first, "nobody came or went", first, last)
    # Whoever comes or retires: in the end VNodes are dealt to those who are there.
    for fault, there in (("join:1@50", 4), ("retire:1@50", 2), ("retire:coordinator@50", 2)):
        first, last = owners("--fault", fault, SCENARIO, "dealt", "12", "0", members=3)
        expect(first == first[:3] * 4, f"{fault}: dealt to three members in turn", first)
        expect(last == last[:there] * (12 // there) and len(set(last)) == there, f"{fault}: dealt to {there} in the end", last)
    first, last = owners("--fault", "kill:1@50", SCENARIO, "dealt", "12", "100", members=3)
    left = [slot for slot in first[:3] if slot != "1"]
    for vnode in (v for v in range(12) if first[v] == "1"):
        expect(last[vnode] == left[vnode % 2], f"VNode {vnode} of the dead is dealt to the two others", first, last)


def ring_placement():
    first, last = owners("--fault", "join:1@50", SCENARIO, "on-ring", "64", "0", members=3)
    moved = {(a, b) for a, b in zip(first, last) if a != b}
    expect(moved == {("0", "3"), ("1", "3"), ("2", "3")}, "only what goes to the newcomer moves, from everybody", moved)
    first, last = owners("--fault", "kill:1@50", SCENARIO, "on-ring", "64", "200", members=3)
    moved = {(a, b) for a, b in zip(first, last) if a != b}
    expect(moved == {("1", "0"), ("1", "2")}, "only VNodes of the dead move, to everybody else", moved)


def topology_placement():
    if os.cpu_count() < 2:
        print("needs two processors")
        sys.exit(77)
    # To hwloc this machine has two NUMA nodes of a processor each; members bind themselves to them in turn.
    os.environ.update(HWLOC_SYNTHETIC="numanode:2 core:1 pu:1", HWLOC_THISSYSTEM="1")
    for fault, steps in ((None, "20"), ("kill:1@50", "200"), ("join:1@50", "0"), ("retire:1@50", "0")):
        faults = ("--fault", fault) if fault else ()
        with folder() as base:
            os.environ["PHOENIX_TEST_FOLDER"] = base
            first, last = owners(*faults, SCENARIO, "by-numa", "16", steps, members=4)
        expect(first == ["0"] * 8 + ["1"] * 8, f"{fault}: neighbours are in one NUMA domain", first)
        borders = sum(a != b for a, b in zip(last, last[1:]))
        expect(borders <= 3, f"{fault}: few neighbours are apart", last)
        if fault and fault.startswith("join"):
            expect(last.count("0") in (9, 10) or last.count("1") in (9, 10), "three of five members have three fifths", last)


def restart_with_another_placement():
    wanted = good(SCENARIO, "ring", "8", "60", members=1)
    with folder() as base:
        good("--checkpoint", base, "--checkpoint-every", "7", "--placement", "ring", SCENARIO, "ring", "8", "60", members=3)
        for path in sorted(pathlib.Path(base, "ring").iterdir())[1:]:
            shutil.rmtree(path)
        for placement in ("block", "topology", "ring:9"):
            got = good("--restart", base, "--placement", placement, SCENARIO, "ring", "8", "60", members=3)
            expect(got == wanted, f"{placement}: {got} instead of {wanted}")


# --- wrong use: one sentence, exit status 1

def refuse(words, sentence, members=3, status=1):
    wanted = status
    status, out, err = run(*words, members=members)
    said = [line for line in err.split("\n") if re.search(sentence, line)]
    expect(status == wanted and len(said) == 1, f"{words}: exit status {status}, wanted one line with /{sentence}/", out, err)
    expect("terminate called" not in err, err)


def refused(scenario, sentence, *more):
    return lambda: refuse((*more, SCENARIO, scenario), sentence)


CASES = {
    "RingSurvivesChaos": same_under_chaos("ring", count=60),
    "RareCommitsSurviveChaos": same_under_chaos("ring-commit-every-3"),
    "GlobalRecoverySurvivesChaos": same_under_chaos("ring-global"),
    "AnySourceSurvivesChaos": same_under_chaos("any-source"),
    "ManyPhasesSurviveChaos": same_under_chaos("many-phases", count=8),
    "LargeMessagesSurviveChaos": same_under_chaos("large-messages", count=6),
    "CollectivesSurviveChaos": same_under_chaos("non-commutative", count=6),
    "ReplacedMembersSurviveChaos": same_under_chaos("ring", kills=8, count=4, more=("--respawn",)),
    "VerifiedStepsSurviveChaos": same_under_chaos("ring", members=3, kills=2, count=4, more=("--verify-replay",)),
    "DeathsAtPhaseBorders": deaths_at_phase_borders,
    "StoppedMember": stopped_member,
    "RestartLocal": restart("ring"),
    "RestartRareCommits": restart("ring-commit-every-3"),
    "RestartGlobal": restart("ring-global"),
    "DeathWhileCheckpointing": death_while_checkpointing,
    "DamagedCheckpoints": damaged_checkpoints,
    "RefusedCheckpoints": refused_checkpoints,
    "UnwritableCheckpoints": unwritable_checkpoints,
    "VerifyReplay": verify_replay,
    "PrintsOnce": prints_once,
    "NothingRecordedIsUnprinted": nothing_recorded_is_unprinted,
    "BystandersDoNotRepeat": bystanders_do_not_repeat,
    "SurplusMembers": surplus_members,
    "Alone": alone,
    "StepThrows": refused("throws", r"VNode 3 of domain 'd' threw in step 5: the plate has melted"),
    "StepSegfaults": refused("segfault", r"VNode 3 of domain 'd' ended 2 members.*step 5.*SIGSEGV.*0x8"),
    "StepAborts": refused("abort", r"VNode 3 of domain 'd' ended 2 members.*step 5.*SIGABRT"),
    "StepExits": refused("exit", r"VNode 3 of domain 'd' ended 2 members.*step 5.*exit\(\)"),
    "StepOverflowsItsStack": refused("overflow", r"VNode 3 of domain 'd' ended 2 members.*step 5.*stack"),
    "StepKillsItsExecutor": lambda: refuse((SCENARIO, "killed-by-itself"), r"VNode 3 of domain 'd' ended 3 members.*step 5.*outside", members=5),
    "FullDisk": full_disk,
    "Deadlock": refused("deadlock", r"Deadlock.*VNode 0 waits for a message from VNode 1 with tag 77 in step 4; VNode 1 waits for a message from VNode 0"),
    "StopByAll": lambda: expect(good(SCENARIO, "stop") == "done\n", "ends well"),
    "StopByOne": refused("stop-by-one", r"VNode 2 of domain 'd' called stop\(\) in step 6, but VNode \d+ completed step \d+ without it"),
    "TagOutOfRange": refused("tag-out-of-range", r"tag 16777216; tags are 0 to 16777215"),
    "VNodeOutOfRange": refused("vnode-out-of-range", r"send names VNode 8, but the domain has VNodes 0 to 7"),
    "SizeMismatch": refused("size-mismatch", r"expects 8 bytes, but the message has 4"),
    "WrongAccessor": refused("wrong-accessor", r"write\(\) does not exist for field 'f', which is two-buffer; use next\(\)"),
    "AnySourceInLocalDomain": refused("any-in-local", r"recovery = global"),
    "CustomPlacement": custom_placement,
    "CustomPlacementSurvivesChaos": same_under_chaos("dealt-ring", count=12),
    "RingPlacement": ring_placement,
    "TopologyPlacement": topology_placement,
    "RestartWithAnotherPlacement": restart_with_another_placement,
    "MisplacedVNode": refused("misplaced", r"The application's placement of domain 'd' places VNode 5 on position \d of \d members; return positions from 0 to \d\."),
    "PlacementThrows": refused("placement-throws", r"The application's placement of domain 'd' threw 'the map is lost'; let it return a position"),
    "RingWithoutTokens": refused("no-tokens", r"Domain 'd': its placement has 0 tokens per member; a ring has 1 to 4096"),
    "CustomWithoutFunction": refused("no-function", r"Domain 'd': its placement is custom and has no function"),
    "DifferentPlacements": refused("different-placements", r"Domain 'd' has placement ring:\d here and ring:\d in another member"),
    "TwoDomainsOfOneName": refused("two-domains-of-one-name", r"There is a domain or space 'd' already"),
    "NoVNodes": refused("no-vnodes", r"'d' asks for 0 VNodes"),
    "BadShape": refused("bad-shape", r"the shape of VNode 2 has rank 1"),
    "BadHalo": refused("bad-halo", r"halo, which needs buffers = 2"),
    "HugeField": refused("huge-field", r"Shared memory is exhausted: \d+ MiB more are needed"),
    "DifferentMains": refused("different-mains", r"declared differently by another member"),
    "MessageInInitialise": refused("message-in-initialise", r"send is not allowed in initialise"),
    "MainThrows": refused("main-throws", r"main has had enough"),
    "TooMuchMemory": refused("too-much-memory", r"retains \d+ MiB.*--log-memory-max", "--log-memory-max", "256M"),
    "SpaceDeath": refused("space-death", r"Member \d+ died while it had VNode \d+ of space 's'.*survives hand-over but not death"),
    "SpaceDeadlock": refused("space-deadlock", r"Deadlock"),
}

if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print("\n".join(CASES))
    else:
        CASES[sys.argv[1]]()
