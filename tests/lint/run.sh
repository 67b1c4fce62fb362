#!/usr/bin/env bash
# All checks of the source text, for ./dev lint. usage: run.sh BUILD_DIR [--fix]
# Goes on after a failure, so that one run shows everything.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
build="$1"
# The interpreter with the distribution's modules, whatever else is on PATH.
python=/usr/bin/python3

passed=0
failed=()
step() {
    local name="$1" began=$SECONDS status=0
    shift
    "$@" || status=$?
    if ((status == 0)); then
        passed=$((passed + 1))
    else
        ((status < 128)) || exit "$status"
        failed+=("$name")
    fi
    ((SECONDS - began < 2)) || printf '   (%s: %d s)\n' "$name" $((SECONDS - began))
}
trap 'exit 130' INT

[[ ${2:-} != --fix ]] || bash tests/lint/format.sh --fix
step format bash tests/lint/format.sh
step "layering self-test" "$python" tests/lint/layering.py --self-test
step layering "$python" tests/lint/layering.py
step "text rules self-test" "$python" tests/lint/text_rules.py --self-test
step "text rules" "$python" tests/lint/text_rules.py
step shell bash tests/lint/shell.sh
step headers cmake --build "$build" --target phoenix_headers
step tidy "$python" tests/lint/tidy.py "$build"

((${#failed[@]} == 0)) || printf 'lint: %s failed\n' "${failed[@]}"
printf 'lint: %d passed, %d failed\n' "$passed" "${#failed[@]}"
((${#failed[@]} == 0))
