#!/bin/bash
# Fuzzes each target for a while: what is worth keeping stays in build/fuzz/corpus and is taken up again, findings are build/fuzz/finding-*.
#   scripts/fuzz.sh [TARGET ...]       FUZZ_SECONDS: for each (300)
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-300}
[ $# -gt 0 ] || set -- onnx plan graph jpeg png list tar preprocess resize
tests/fuzz/build.sh build/fuzz || exit 1
failed=0
for target in "$@"; do
    echo "fuzz: $target for $seconds seconds"
    tests/fuzz/run.sh long "$target" "build/fuzz/fuzz_$target" "$seconds" >"build/fuzz/$target.log" 2>&1 || failed=1
    grep -E 'number_of_executed_units|SUMMARY|does not hold|runtime error|Test unit written' "build/fuzz/$target.log" || true
done
exit "$failed"
