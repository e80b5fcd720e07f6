#!/bin/bash
# Runs one Criterion executable. Where every test in it was skipped, the whole is reported to ctest as skipped (77).
#   criterion.sh EXECUTABLE
set -uo pipefail

output=$(mktemp "${TMPDIR:-/tmp}/batchcam-XXXXXX") || exit 1
trap 'rm -f "$output"' EXIT

# -j1: the tests compute on all cores themselves, and ctest already runs executables side by side. --verbose=1: says what was skipped.
"$1" -j1 --verbose=1 --color=never >"$output" 2>&1
status=$?
cat "$output"
if [ -n "${BCAM_SKIP_LIST-}" ]; then # a file where scripts/test.sh collects them
    sed -n 's/^\[SKIP\] */  /p' "$output" >>"$BCAM_SKIP_LIST"
fi
[ "$status" -eq 0 ] || exit "$status"
if ! grep -q '^\[====\] Synthesis: Tested: ' "$output"; then
    echo "criterion.sh: no closing line of Criterion's was seen"
    exit 1
fi
if grep -q '^\[====\] Synthesis: Tested: 0 ' "$output" && grep -q '\[SKIP\]' "$output"; then
    exit 77
fi
