#!/bin/bash
# cuDNN has a plan, on a card that is described and not there, for every convolution of these golden networks (all would take minutes); with the cuDNN that the expected lines
# were made with, it is also the same engine, kernel, fusion and workspace, and the same for the poolings that cuDNN is asked for.
#   plans.sh PLANS_PROGRAM FOLDER_OF_A_DRIVER_WITHOUT_DEVICE [--bless]
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
expected=$here/plans_h100.expected
made=$(mktemp "${TMPDIR:-/tmp}/batchcam-plans-XXXXXX")
trap 'rm -f "$made"' EXIT

cd "$here/../golden"
networks=()
for golden in captum_known const_* fixed_batch_reshape mobilenet_* multi_consumer nhwc_twin* resnet_* narrow_{convnext,resnext,shufflenet_v2}_old; do
    folder=$here/../golden/$golden
    networks+=("$folder/model.onnx" "$folder/model.onnx:$(awk -F'\t' 'NR == 2 { print $1 }' "$folder/golden.tsv")")
done
LD_LIBRARY_PATH=$2${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$1" "$here/../emu/h100.json" "${networks[@]}" >"$made" || {
    grep -E 'NO PLAN|onnx' "$made" || true
    exit 1
}
if [ "${3-}" = --bless ]; then
    cp "$made" "$expected"
elif [ "$(tail -n 1 "$made" | sed 's/.*, //')" = "$(tail -n 1 "$expected" | sed 's/.*, //')" ]; then
    diff -u "$expected" "$made"
else
    echo "expected lines are of another cuDNN; every convolution has a plan: $(tail -n 1 "$made")"
fi
