#!/bin/bash
# What cuDNN plans for five classifiers at full width, for an H100 and an A100 that are described and not there, at each precision: tables in
# bench/results/plans, and a summary. Needs the CUDA toolkit and cuDNN (docs/gpu.md) and Python; no card, no weights.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

batch=256
# Early layers, so that the gradient goes through nearly the whole network.
networks=(resnet50:layer1 vgg16:features.4 densenet121:features.pool0 mobilenet_v2:features.1 efficientnet_b0:features.1)
build=build/plans
models=$build/models
results=bench/results/plans

# A build of its own, with own kernels for one architecture: none of them runs here.
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBCAM_BUILD_TESTS=ON -DBCAM_CUDA=ON -DBCAM_CUDA_ARCHITECTURES=90
cmake --build "$build" --target cuda_plans bcam_no_device
mkdir -p "$results"
for network in "${networks[@]}"; do
    python3 bench/models/fill.py "bench/models/${network%%:*}.onnx" "$models" --zero
done

# One table: a network on a card at a precision.
table() { # card, precision, network
    printf '== %s, gradient to %s, %d photos, one class, %s, %s\n' "${3%%:*}" "${3#*:}" "$batch" "$2" "$1"
    printf '%3s %-56s %-112s %s\n' of 'first step' 'problem (x and w or y: N,C,H,W as stored)' \
        'engine, what it holds; workspace in bytes; kernel; what is left to a kernel of our own'
    LD_LIBRARY_PATH=$build/no_device${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
        "$build/tests/cuda_plans" "tests/emu/$1.json" --batch "$batch" --precision "$2" --steps "$models/${3%%:*}.onnx:${3#*:}"
    echo
}

failed=0
for card in h100 a100; do
    for precision in fp16 tf32 fp32; do
        made=$results/$card-$precision.txt
        echo "$made"
        for network in "${networks[@]}"; do
            table "$card" "$precision" "$network" || failed=1
        done >"$made.part"
        mv "$made.part" "$made"
    done
done

# One line a table, out of the tables' own closing lines.
summarize() {
    printf '%-5s %-5s %-16s %12s %12s %9s %11s %9s %12s %7s\n' card type network convolutions 'whole in one' poolings 'own kernel' compiled 'workspace MB' failed
    awk '/^== / { network = substr($2, 1, length($2) - 1) }
         /^different problems/ { gsub(/[;,:]/, ""); convs = $3; whole = $5; pools = $12; own = $14; compiled = $22; workspace = $(NF - 1) }
         / plans, / { split(FILENAME, part, /[\/.-]/); n = length(part)
                      printf "%-5s %-5s %-16s %13s %12s %9s %11s %9s %12s %7s\n", part[n - 2], part[n - 1], network, convs, whole, pools, own, compiled, workspace, $3 }' "$@"
    sed -n 's/.*\(cuDNN [0-9.]*\)$/\n\1/p' "$1" | sort -u
}
tables=()
for card in h100 a100; do
    for precision in fp16 tf32 fp32; do
        tables+=("$results/$card-$precision.txt")
    done
done
summarize "${tables[@]}" >"$results/summary.txt"
[ "$failed" = 0 ] || { grep -h 'NO PLAN' "$results"/*.txt; exit 1; }
echo "$results/summary.txt"
