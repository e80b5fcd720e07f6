#!/bin/bash
# Every convolutional classifier of torchvision, at full width with random weights, held against PyTorch in double: a table in bench/results/zoo.md.
#   scripts/zoo.sh [NAME ...]       PYTHON: an interpreter with torch, torchvision and onnx (python3)
# Networks that build/zoo/rows already has are left out, so that a run can be stopped and taken up again.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C OMP_WAIT_POLICY=passive
python=${PYTHON:-python3}
build=${BCAM_ZOO_BUILD:-build/zoo/build}
goldens=build/zoo/goldens
rows=build/zoo/rows
table=bench/results/zoo.md

# One network, as soon as its golden is made: rows/NAME has a line for every comparison (layer, what, error, PyTorch's own), its default layer, and,
# where float32 decided something another way, the largest share of what is allowed that plain C takes, which adds in double.
compare() {
    local name=$1 folder=$goldens/$1 part=$rows/$1.part status=0
    rm -f "$part" "$part.plain"
    BCAM_ZOO=$goldens BCAM_ZOO_ROWS=$part "$build/tests/zoo" --filter 'zoo/*' || status=1
    if awk -F'\t' '$4 > 4 * $5 + 1e-6 { more = 1 } END { exit !more }' "$part"; then
        BCAM_ZOO_DEVICE=reference BCAM_ZOO=$goldens BCAM_ZOO_ROWS=$part.plain "$build/tests/zoo" --filter 'zoo/*' || status=1
        awk -F'\t' -v name="$name" '{ r = $4 / (4 * $5 + 1e-6); if (r > most) most = r } END { print name "\t\tplain\t" most "\t0" }' "$part.plain" >>"$part"
        rm -f "$part.plain"
    fi
    "$build/batchcam" inspect "$folder/model.onnx" | awk -v name="$name" '/^\* / { layer = $2 } END { print name "\t" layer "\tdefault\t0\t0" }' >>"$part" || status=1
    mv "$part" "$rows/$name"
    rm -rf "$folder"
    return "$status"
}
if [ "${1-}" = --compare ]; then
    compare "$2"
    exit
fi

"$python" -c 'import torch, torchvision, onnx' || {
    echo "zoo: needs Python with torch, torchvision and onnx; PYTHON names the interpreter" >&2
    exit 1
}
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBCAM_BUILD_TESTS=ON -DBCAM_CUDA=OFF >/dev/null
cmake --build "$build" --target zoo batchcam_command
rm -rf "$goldens"
mkdir -p "$rows" "$goldens" bench/results
names=("$@")
[ $# -gt 0 ] || mapfile -t names < <("$python" tests/golden/zoo.py --list)

left=()
for name in "${names[@]}"; do
    [ -f "$rows/$name" ] || left+=("$name")
done
status=0
[ ${#left[@]} -eq 0 ] || "$python" -u tests/golden/zoo.py --out "$goldens" --then "$PWD/scripts/zoo.sh" "${left[@]}" || status=1

"$python" tests/golden/zoo.py --table "$rows" >"$table.part"
mv "$table.part" "$table"
echo "$table"
exit "$status"
