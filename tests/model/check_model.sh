#!/bin/sh
# check_model.sh MODEL WORK_DIR passes|fails [-DBUG ...]
# Checks a Promela model exhaustively with spin. "fails": a bug is planted, and the check must find it.
# Bounded: PHOENIX_MODEL_MEMORY MiB (1024), depth 1,000,000; the caller bounds the time. A search that was cut off does
# not pass. Exit 77: spin is not installed (skipped).
set -eu
model=$(realpath "$1")
work=$2
wanted=$3
shift 3

command -v spin >/dev/null || { echo "spin is not installed: model not checked (Debian, Ubuntu: apt install spin)"; exit 77; }
rm -rf "$work"
mkdir -p "$work"
cd "$work"
spin -a "$@" "$model" >generate.txt 2>&1 || { cat generate.txt; exit 1; }
# SAFETY: assertions and invalid end states; COLLAPSE: several times less memory.
"${CC:-cc}" -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM="${PHOENIX_MODEL_MEMORY:-1024}" -o pan pan.c
./pan -m1000000 >result.txt 2>&1 || true
grep -iE "errors:|states, stored|pan:[0-9]+: |not completed|memlim|elapsed" result.txt || true

if grep -qiE "out of memory|memlim bound|search depth too small|not completed" result.txt && [ "$wanted" = passes ]; then
    echo "the search was cut off: not a proof"
    exit 1
fi
case $wanted in
passes) grep -q "errors: 0" result.txt ;;
fails) grep -qE "errors: [1-9]" result.txt && grep -qE "assertion violated|invalid end state" result.txt ;;
*) echo "third argument: passes or fails"; exit 2 ;;
esac
