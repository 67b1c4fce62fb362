#!/usr/bin/env bash
# The plate twice: undisturbed, and with members killed (whoever coordinates among them). The results must be the same
# bits. Called by `./dev demo`; PHOENIX_BIN names another folder of programs.
set -euo pipefail

root="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)"
bin="${PHOENIX_BIN:-$root/build/release/bin}"
folder="$root/build/demo"
members=4
plate=(plate --size 768x768 --vnodes 64 --steps 600 --digest)
faults=(--fault kill:2@150 --fault kill:coordinator@300 --fault kill:coordinator@450)

usage() {
    cat <<'HELP'
usage: tools/demo.sh [--local | --mpi]

Runs the example `plate` on 4 members, undisturbed and with three of them killed, shows what happened and compares the
results. Exit status 0 if they are identical.
HELP
}

mode=()
case "${1:-}" in
    '') ;;
    --local | --mpi) mode=("$1") ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac

for program in pflight plate; do
    if [[ ! -x "$bin/$program" ]]; then
        printf 'demo: there is no %s; build it with ./dev build.\n' "$bin/$program" >&2
        exit 2
    fi
done
mkdir -p "$folder"

# run TITLE OUTPUT PFLIGHT-OPTIONS..: shows the command and what it says, keeps its output.
run() {
    local title="$1" output="$2"
    shift 2
    local command=("$bin/pflight" run -n "$members" "${mode[@]}" "$@" "$bin/${plate[0]}" "${plate[@]:1}" --picture "$output.png")
    printf '\n== %s\n$ pflight' "$title"
    printf ' %s' "${command[@]:1}"
    printf '\n'
    local began ended
    began=$(date +%s%N)
    if ! "${command[@]}" </dev/null >"$output.txt"; then
        cat "$output.txt"
        printf 'demo: that run failed.\n' >&2
        exit 1
    fi
    ended=$(date +%s%N)
    cat "$output.txt"
    printf 'whole run: %d ms\n' $(((ended - began) / 1000000))
}

digest_in() { sed -n 's/^digest: //p' "$1.txt"; }

run 'undisturbed' "$folder/undisturbed" --quiet
run 'with three of four members killed, the coordinator among them' "$folder/killed" --progress never --timeline "${faults[@]}"

undisturbed="$(digest_in "$folder/undisturbed")"
killed="$(digest_in "$folder/killed")"
printf '\n== result\npicture:     %s\nundisturbed: %s\nkilled:      %s\n' "$folder/killed.png" "$undisturbed" "$killed"
if [[ -n "$undisturbed" && "$undisturbed" == "$killed" ]]; then
    printf 'The digests are identical.\n'
else
    printf 'The digests DIFFER: this is a bug.\n'
    exit 1
fi
