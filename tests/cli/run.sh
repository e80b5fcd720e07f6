#!/bin/bash
# The command, held against its exact expected output.
#   run.sh COMMAND [--bless] [CASE ...]        --bless: write what it says now into the .expected files (then read the diff)
#
# A case is CASE.t, a bash script run in a folder of its own, beside CASE.expected. It calls:
#   try ARGS...        runs the command and shows it: its stdout, its stderr with "! " before each line, its status where it is not 0
#                      stdin is $input, or empty
#   note TEXT...       a line of its own
#   $data              the demonstration's folder
set -uo pipefail
export LC_ALL=C.UTF-8

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
data=$(cd "$here/../../data" && pwd)
batchcam=$(realpath "$1") || exit 2
shift
bless=
if [ "${1-}" = --bless ]; then
    bless=yes
    shift
fi
cases=("$@")
[ ${#cases[@]} -gt 0 ] || for file in "$here"/*.t; do cases+=("$(basename "$file" .t)"); done

scratch=$(mktemp -d "${TMPDIR:-/tmp}/batchcam-XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT

# What differs from machine to machine, or from run to run, gets a name.
normalise() {
    sed -E -e "s|$scratch/[a-z_]+|WORK|g; s|$data|DATA|g" \
        -e 's/[0-9.]+ s, [0-9.]+ photos\/s/T s, R photos\/s/; s/"seconds":[0-9.e+-]+/"seconds":T/; s/"images_per_second":[0-9.e+-]+/"images_per_second":R/' \
        -e 's/\b[0-9a-f]{64}\b/SHA256/' \
        -e 's/cpu \([^)]*\)/cpu (DEVICE)/' \
        -e "s/(at or behind its member '[^']*'): .*/\1: WHY/" \
        -e '/^\{"message_type":"status","done":/d'
}

note() {
    printf '# %s\n' "$*"
}

try() {
    local status
    printf '$ batchcam %s\n' "$*" | normalise
    "$batchcam" "$@" >"$scratch/stdout" 2>"$scratch/stderr" <"${input:-/dev/null}"
    status=$?
    normalise <"$scratch/stdout"
    normalise <"$scratch/stderr" | sed 's/^/! /'
    [ "$status" -eq 0 ] || printf '= %d\n' "$status"
    printf '\n'
}

failed=0
for case in "${cases[@]}"; do
    mkdir "$scratch/$case"
    # shellcheck disable=SC1090 # the cases
    (cd "$scratch/$case" && . "$here/$case.t") >"$scratch/$case.actual" 2>&1
    if [ -n "$bless" ]; then
        cp "$scratch/$case.actual" "$here/$case.expected"
    elif ! diff -u "$here/$case.expected" "$scratch/$case.actual" --label "$case.expected" --label "$case, now"; then
        failed=$((failed + 1))
    fi
done
[ "$failed" -eq 0 ] || { echo "$failed of ${#cases[@]} cases differ; where the new output is right: make bless"; exit 1; }
