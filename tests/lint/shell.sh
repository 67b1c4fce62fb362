#!/usr/bin/env bash
# Checks the shell scripts of the tree: each parses, and shellcheck (where installed) finds nothing.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

scripts=(dev)
[[ ! -f .ci/run ]] || scripts+=(.ci/run)
while IFS= read -r file; do
    scripts+=("$file")
done < <(find tools bench examples tests slurm docs -type f -name '*.sh' 2>/dev/null | sort)

for script in "${scripts[@]}"; do
    bash -n "$script"
done
if command -v shellcheck >/dev/null; then
    shellcheck --severity=info --shell=bash "${scripts[@]}"
    echo "shell: ${#scripts[@]} scripts, shellcheck finds nothing"
else
    echo "shell: ${#scripts[@]} scripts parse; shellcheck is not installed"
fi
