#!/bin/bash
# Runs one fuzz target over its seeds and findings, and on from there. Exit status 77: skipped.
#   run.sh replay TARGET PROGRAM           each once
#   run.sh short TARGET PROGRAM            a fixed number of inputs, the same every time
#   run.sh long TARGET PROGRAM SECONDS     new inputs; those worth keeping, and findings, stay beside PROGRAM
set -euo pipefail
how=$1 target=$2 program=$3 seconds=${4:-60}
here=$(cd "$(dirname "$0")" && pwd)
tests=${here%/*}

# target: longest input, inputs of a short run, most bytes of a seed file, where seeds lie
case $target in
    onnx) longest=2048 runs=40000 seeds=$(find "$tests/golden_onnx" "$tests/golden" -name '*.onnx' -size -6000c) ;;
    plan) longest=16384 runs=20000 seeds=$(find "$tests/golden_onnx" "$tests/golden" -name '*.onnx' -size -16000c) ;;
    graph) longest=256 runs=10000 seeds=$(find "$here/seeds/$target" -type f) ;;
    jpeg) longest=8192 runs=20000 seeds=$(find "$tests/golden_in/photos" -name '*.jpg' -size -8000c) ;;
    png) longest=8192 runs=20000 seeds=$(find "$tests/golden_in/photos" -type f ! -name '*.jpg' -size -8000c) ;;
    list | preprocess) longest=4096 runs=5000 seeds=$(find "$here/seeds/$target" -type f) ;;
    tar) longest=8192 runs=5000 seeds=$(find "$here/seeds/$target" -type f) ;;
    resize) longest=512 runs=4000 seeds=$(find "$here/seeds/$target" -type f) ;;
    *) echo "run.sh: there is no target '$target'" >&2; exit 2 ;;
esac
inputs=$(printf '%s\n' "$seeds"; find "$here/findings/$target" -type f 2>/dev/null || true)
inputs=$(printf '%s' "$inputs" | sed '/^$/d' | LC_ALL=C sort)

if [ "$how" = replay ]; then
    export ASAN_OPTIONS="${ASAN_OPTIONS-}:max_allocation_size_mb=256:allocator_may_return_null=0"
    printf '%s' "$inputs" | tr '\n' '\0' | xargs -0 "$program"
    exit
fi

if [ ! -x "$program" ]; then
    echo "skipped: libFuzzer needs clang and its run time (scripts/setup.sh test)"
    exit 77
fi
folder=$(mktemp -d "${TMPDIR:-/tmp}/batchcam-XXXXXX")
trap 'rm -rf "$folder"' EXIT
printf '%s' "$inputs" | tr '\n' ',' >"$folder/seeds"
mkdir "$folder/corpus"
options=(-max_len="$longest" -malloc_limit_mb=256 -rss_limit_mb=2048 -timeout=20 -error_exitcode=1 -timeout_exitcode=1 -print_final_stats=1)
[ ! -s "$folder/seeds" ] || options+=(-seed_inputs=@"$folder/seeds")
[ ! -f "$here/$target.dict" ] || options+=(-dict="$here/$target.dict")

if [ "$how" = short ]; then
    "$program" "${options[@]}" -seed=1 -runs="$runs" -artifact_prefix="$folder/" -verbosity=0 "$folder/corpus"
else
    kept=${program%/*}/corpus/$target
    mkdir -p "$kept"
    "$program" "${options[@]}" -max_total_time="$seconds" -artifact_prefix="${program%/*}/finding-$target-" "$kept"
fi
