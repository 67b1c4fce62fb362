#!/usr/bin/env bash
# Runs the benchmarks, each beside its rival: bench/run.sh [WORKLOAD..] [-- OPTIONS of the workloads]
#   bench/run.sh                      all of them
#   bench/run.sh pingpong recovery    these two
#   bench/run.sh -- --quick           all, small: to see that they run
# Figures go to the terminal and as JSON to build/bench/. Run it on a machine that does nothing else.
set -euo pipefail
export PYTHONDONTWRITEBYTECODE=1
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

all=(pingpong recovery million stencil micro transport join handover)
chosen=()
while (($# > 0)) && [[ $1 != -- ]]; do
    if [[ ! -x bench/$1/run.py ]]; then
        printf 'bench: there is no workload "%s"; there are: %s\n' "$1" "${all[*]}" >&2
        exit 2
    fi
    chosen+=("$1")
    shift
done
(($# == 0)) || shift
((${#chosen[@]} > 0)) || chosen=("${all[@]}")

failed=()
for workload in "${chosen[@]}"; do
    printf '\n== %s\n' "$workload"
    "bench/$workload/run.py" "$@" || failed+=("$workload")
done
if ((${#failed[@]} > 0)); then
    printf '\nbench: failed: %s\n' "${failed[*]}" >&2
    exit 1
fi
