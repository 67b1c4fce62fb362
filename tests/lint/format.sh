#!/usr/bin/env bash
# Checks that the sources are as clang-format 14 would write them; with --fix, makes them so.
# Other versions break some lines differently: with one of those the check only tells.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

wanted=14
tool=clang-format
command -v "clang-format-$wanted" >/dev/null && tool="clang-format-$wanted"
if ! command -v "$tool" >/dev/null; then
    echo "format: clang-format is not installed"
    exit 1
fi
version="$("$tool" --version | sed -n 's/.*version \([0-9]*\)\..*/\1/p')"

mapfile -t files < <(find core mpi tools bench examples tests -type f \( -name '*.hpp' -o -name '*.cpp' -o -name '*.h' -o -name '*.c' \) 2>/dev/null | sort)
if [[ ${1:-} == --fix ]]; then
    if [[ $version != "$wanted" ]]; then
        echo "format: this is clang-format $version; the tree is formatted with $wanted"
        exit 1
    fi
    "$tool" -i "${files[@]}"
    exit 0
fi

different=()
for file in "${files[@]}"; do
    "$tool" "$file" | cmp -s - "$file" || different+=("$file")
done
if ((${#different[@]} == 0)); then
    echo "format: ${#files[@]} files are as clang-format $version writes them"
elif [[ $version != "$wanted" ]]; then
    echo "format: clang-format $version would change ${#different[@]} of ${#files[@]} files; only version $wanted decides"
else
    printf '%s\n' "${different[@]}"
    echo "format: ${#different[@]} files differ; ./dev lint --fix formats them"
    exit 1
fi
