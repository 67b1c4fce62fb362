#!/usr/bin/env python3
"""The examples under each placement: the same digests, whoever executes what.

usage: as examples_test.py
"""

import sys

import examples_test


def plate_is_the_same_under_each_placement(examples):
    words = ["plate", "--size", "96x96", "--vnodes", "12", "--steps", "8000", "--digest"]
    wanted = examples.alone(*words).line("digest")
    for placement in ("block", "ring", "ring:3", "topology"):
        for seed in examples_test.seeds(3):
            chaos = f"seed={seed},kills=2,joins=2,retires=1,moves=10"
            print(f"{placement}, {chaos}", flush=True)
            result = examples.good(4, ["--placement", placement, "--chaos", chaos], *words)
            examples_test.require(result.line("digest") == wanted, f"{placement}, {chaos}: wanted digest {wanted}\n{result}")
    result = examples.good(4, ["--placement", "ring", "--emulate-nodes", "2", "--chaos", "seed=1,kills=2,joins=2,moves=10"], *words)
    examples_test.require(result.line("digest") == wanted, f"on two nodes: wanted digest {wanted}\n{result}")
    for placement, sentence in (("blok", "--placement blok: no placement has this name; write block, ring, ring:64 or topology."),
                                ("ring:0", "--placement ring:0: a ring has 1 to 4096 tokens per member; write for example ring:128."),
                                ("block:8", "--placement block:8: only a ring has tokens; write block or ring:8.")):
        result = examples.run(2, ["--placement", placement], *words)
        examples_test.require(result.status != 0 and result.err.count(sentence) == 1 and result.err.count("\n") == 1, f"'{sentence}' is wanted\n{result}")


CASES = {function.__name__: function for function in (plate_is_the_same_under_each_placement,)}

if __name__ == "__main__":
    sys.exit(examples_test.main(CASES))
