#!/usr/bin/env bash
# usage: run.sh BUILD_DIR SOURCE_DIR COMPONENT..
# Installs BUILD_DIR, moves the installation, and builds and runs the consumer project against it.
set -euo pipefail

build="$1"
source="$2"
shift 2
components=("$@")
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
fail() {
    echo "package: $1"
    exit 1
}

cmake --install "$build" --prefix "$scratch/made" >"$scratch/install.log" || fail "$(tail -n 20 "$scratch/install.log")"
mv "$scratch/made" "$scratch/moved"
for wrong in "$source" "$scratch/made"; do
    if grep -rIlF "$wrong" "$scratch/moved" --include='*.cmake' --include='*.hpp' --include='*.h'; then
        fail "the files above name $wrong: the installation works on this machine only"
    fi
done

# configure NAME ARGUMENTS..: the consumer with a tree of its own
configure() {
    cmake -G Ninja -S "$source/tests/package/consumer" -B "$scratch/$1" -DCMAKE_PREFIX_PATH="$scratch/moved" \
        -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF "${@:2}" >"$scratch/$1.log" 2>&1
}

for component in "${components[@]}"; do
    configure "$component" -DCOMPONENTS="$component" || fail "$component: $(cat "$scratch/$component.log")"
    cmake --build "$scratch/$component" -j2 >>"$scratch/$component.log" 2>&1 || fail "$component: $(cat "$scratch/$component.log")"
    output="$("$scratch/$component/consumer")" || fail "the consumer of $component ended with $?"
    [[ $output == "consumer of $component: good" ]] || fail "the consumer of $component printed: $output"
    echo "package: a consumer of $component builds and runs"
done

if configure unknown -DCOMPONENTS="no_such_component"; then
    fail "a component that does not exist was found"
fi
if [[ " ${components[*]} " != *" mpi "* ]] && configure without -DCOMPONENTS="core;mpi"; then
    fail "this installation has no MPI part, yet the component was found"
fi
if configure newer -DCOMPONENTS=core -DVERSION=99.0; then
    fail "version 99.0 was found"
fi
echo "package: unknown components and versions are refused"
