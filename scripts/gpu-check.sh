#!/bin/bash
# Proves and measures batchcam's CUDA device on the card of this machine. Part of an archive that scripts/gpu-bundle.sh makes; run where it lies.
#
#   gpu-check.sh correctness [--minutes N]             every check, in at most 5 minutes
#   gpu-check.sh figures MODEL [--minutes N] [...]     resnet50, vgg16, densenet121, mobilenet_v2 or efficientnet_b0, in at most 8 minutes;
#                                                      further options go to bench/figures.py
#
# Writes one archive of results into $OUT, or else the folder it is run from: a line for each part in summary.txt, and each part's log. A part that
# fails does not keep the others from running. Exit status 0 only if none failed.
#   PYTHON=…      a Python with torch, torchvision, numpy and onnx, for the peers (python3); parts that need one are skipped where it lacks them
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export LC_ALL=C.UTF-8
python=${PYTHON:-python3}

usage() { sed -n '4,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit "$1"; }
mode=${1-} model=
case $mode in
    correctness) shift; minutes=5 ;;
    figures) model=${2-}; [ -n "$model" ] || usage 2; shift 2; minutes=8 ;;
    -h | --help) usage 0 ;;
    *) usage 2 ;;
esac
further=()
while [ $# -gt 0 ]; do
    case $1 in
        --minutes) minutes=$2; shift 2 ;;
        *) further+=("$1"); shift ;;
    esac
done

out=${OUT:-$PWD}
mkdir -p "$out" && out=$(cd "$out" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/batchcam-XXXXXX") || exit 1
label=$mode${model:+-$(basename "$model" .onnx)}
results=$scratch/batchcam-$label
mkdir -p "$results"
summary=$results/summary.txt
deadline=$((SECONDS + ${minutes%.*} * 60))
failed=0

say() { printf '%s\n' "$*" | tee -a "$summary"; }

# Whatever ends this script, what there is gets packed.
pack() {
    trap - EXIT
    find "$results" -type f -size +2M | while read -r file; do # the ends of what is long
        { head -c 600000 "$file"; printf '\n[...]\n'; tail -c 600000 "$file"; } >"$file.cut" && mv "$file.cut" "$file"
    done
    local name archive
    name=batchcam-$label-$(date -u +%Y%m%d-%H%M%S)
    if command -v xz >/dev/null; then
        archive=$out/$name.tar.xz
        tar -C "$scratch" -cJf "$archive" "$(basename "$results")"
    else
        archive=$out/$name.tar.gz
        tar -C "$scratch" -czf "$archive" "$(basename "$results")"
    fi
    printf 'results: %s (%s bytes)\n' "$archive" "$(stat -c %s "$archive")"
    rm -rf "$scratch"
    exit "$((failed > 0))"
}
trap pack EXIT
trap 'failed=1; say "stopped by a signal"; exit 1' INT TERM HUP

# part NAME SECONDS COMMAND…: a line in the summary. Status 77 means skipped; the last line of the log says why.
part() {
    local name=$1 limit=$2 log=$results/$1.log left=$((deadline - SECONDS)) status begin=$SECONDS why
    shift 2
    [ "$left" -lt "$limit" ] && limit=$left
    if [ "$limit" -lt 3 ]; then
        say "$name: failed: no time was left"
        failed=$((failed + 1))
        return
    fi
    timeout -k 5 "$limit" "$@" >"$log" 2>&1 </dev/null
    status=$?
    why=$(grep -v '^[[:space:]]*$' "$log" | tail -1 | cut -c 1-300)
    case $status in
        0) say "$name: ok ($((SECONDS - begin)) s): $why" ;;
        77) say "$name: skipped: $why" ;;
        124 | 137) say "$name: failed: was not done in $limit s: $why"; failed=$((failed + 1)) ;;
        *) say "$name: failed: status $status: $why"; failed=$((failed + 1)) ;;
    esac
}

# ---- where CUDA's libraries are: in the loader's cache, in the usual places, in PyPI's packages of any Python here ----
major=$(sed -n 's/.*"cuda": "\([0-9]*\).*/\1/p' "$root/build.json")
wanted=("libcudart.so.$major" "libcublas.so.$major" libcudnn.so.9)
cuda_path=
places() {
    printf '%s\n' "${LD_LIBRARY_PATH-}" | tr : '\n'
    printf '%s\n' /usr/local/cuda/lib64 /usr/local/cuda-"$major"*/lib64 /usr/local/cuda*/targets/x86_64-linux/lib /usr/lib/x86_64-linux-gnu \
        /usr/local/nvidia/lib64 /usr/lib/wsl/lib /opt/cuda/lib64
    local interpreter
    for interpreter in "$python" python3 python; do
        command -v "$interpreter" >/dev/null && timeout 20 "$interpreter" - 2>/dev/null <<'END'
import glob, os, sys
for place in sys.path:
    for folder in sorted(glob.glob(os.path.join(place, "nvidia", "*", "lib"))):
        print(folder)
END
    done
}
find_cuda() {
    local known list library place
    known=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null)
    list=$(places | awk 'NF && !seen[$0]++')
    for library in "${wanted[@]}" libcuda.so.1 "libnvrtc.so.$major"; do
        if grep -q "[[:space:]]$library " <<<"$known"; then continue; fi
        while read -r place; do
            if [ -e "$place/$library" ]; then
                case :$cuda_path: in *:"$place":*) ;; *) cuda_path=$cuda_path${cuda_path:+:}$place ;; esac
                break
            fi
        done <<<"$list"
    done
}
find_cuda
library_path=$cuda_path${LD_LIBRARY_PATH:+${cuda_path:+:}$LD_LIBRARY_PATH}
# The C++ run time of the archive only where the machine's is missing or too old.
linked=$(env LD_LIBRARY_PATH="$library_path" ldd "$root/bin/batchcam" "$root"/bin/bench_net 2>&1)
if grep -qE 'lib(stdc\+\+|gcc_s)\.so\.[0-9]+ => not found|GLIBCXX_[0-9.]+. not found' <<<"$linked"; then
    library_path=$library_path${library_path:+:}$root/lib/fallback
fi
export BATCHCAM_PLUGIN=${BATCHCAM_PLUGIN:-$root/lib/libbatchcam_cuda.so} BATCHCAM_LIBRARY_PATH=$library_path
export XDG_CACHE_HOME=$scratch/cache
ours() { # a program of the archive, as a command line for `part`
    local program=$1
    shift
    run=(env "LD_LIBRARY_PATH=$library_path" "$root/bin/$program" "$@")
}

# ---- what is here ----
facts() {
    cat "$root/build.json"
    echo "batchcam and its libraries: LD_LIBRARY_PATH=$library_path"
    uname -a
    grep -E '^(NAME|VERSION)=' /etc/os-release
    grep -m1 'model name' /proc/cpuinfo
    nproc
    ldd --version | head -1
    nvidia-smi || /usr/local/nvidia/bin/nvidia-smi
    nvidia-smi -q -d CLOCK,POWER,ECC,PCIE 2>/dev/null
    "$python" -c 'import sys, torch; print(sys.version, torch.__version__, torch.version.cuda, torch.backends.cudnn.version())'
    "$python" -m pip list 2>/dev/null | grep -iE 'nvidia|torch|triton|onnx|numpy|grad'
    env LD_LIBRARY_PATH="$library_path" ldd "$root/lib/libbatchcam_cuda.so" "$root/bin/batchcam"
    nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null || echo "nvidia-smi is not here"
}
libraries() {
    local missing
    missing=$(for file in "$root"/bin/* "$root/lib/libbatchcam_cuda.so"; do # the programs find for all libraries beside them
        [ -L "$file" ] || env LD_LIBRARY_PATH="$library_path" ldd "$file" 2>&1 | grep 'not found'
    done | sort -u)
    if [ -z "$missing" ]; then
        env LD_LIBRARY_PATH="$library_path" ldd "$root/lib/libbatchcam_cuda.so" | grep -E 'libcu'
        echo "everything is found; CUDA's from ${cuda_path:-the places of the loader}"
        return
    fi
    echo "not found: ${missing//$'\n'/; }"
    return 1
}
export -f facts libraries
export root library_path python cuda_path

has_python() { timeout 60 "$python" -c "import $1" 2>/dev/null; }

# ---- correctness ----
criterion() { # a whole that was skipped counts as skipped
    local text=$results/$1.out status
    env LD_LIBRARY_PATH="$library_path" BCAM_TEST_DATA="$root/tests" BCAM_GOLDEN_ROWS="$results/golden_errors" "$root/bin/$1" --jobs 4 --verbose=1 \
        --color=never 2>&1 | tee "$text"
    status=${PIPESTATUS[0]}
    if [ "$status" -ne 0 ]; then
        grep -E '^\[(FAIL|----|CRASH)' "$text" | head -3
    elif grep -q 'Tested: 0 ' "$text"; then
        grep '^\[SKIP\]' "$text" | tail -1
        status=77
    fi
    rm -f "$text"
    return "$status"
}
demo() {
    local device status=0
    for device in cpu cuda; do
        env LD_LIBRARY_PATH="$library_path" "$root/bin/batchcam" run "$root/demo/model.onnx" "$root/demo/photos" -o "$results/demo-$device" --names \
            "$root/demo/names.txt" --preprocess "$root/demo/preprocess.json" --device "$device" --precision fp32 --overwrite || status=1
    done
    if [ "$status" -eq 0 ] && command -v "$python" >/dev/null; then
        "$python" "$root/bench/compare_runs.py" "$results/demo-cuda" "$results/demo-cpu" 0.001 || status=1
    fi
    rm -rf "$results/demo-cpu" "$results"/demo-cuda/{maps,overlays,report.html}
    return "$status"
}
find_sanitizer() {
    local place
    for place in "$(command -v compute-sanitizer)" /usr/local/cuda/bin/compute-sanitizer /usr/local/cuda*/bin/compute-sanitizer \
        /usr/local/cuda*/compute-sanitizer/compute-sanitizer; do
        if [ -n "$place" ] && [ -x "$place" ]; then
            echo "$place"
            return
        fi
    done
    "$python" -c 'import glob, sys; print(next(f for p in sys.path for f in glob.glob(p + "/nvidia/*/bin/compute-sanitizer")))' 2>/dev/null
}
sanitizer() { # TOOL CASES: so many cases of each verb with a kernel of our own
    local tool=$1 cases=$2 program text=$results/$1.out status
    program=$(find_sanitizer)
    if [ -z "$program" ]; then
        echo "compute-sanitizer is not here"
        return 77
    fi
    env LD_LIBRARY_PATH="$library_path" "$program" --tool "$tool" --error-exitcode 9 --print-limit 20 "$root/bin/cuda_own_kernels" "$cases" 2>&1 |
        tee "$text"
    status=${PIPESTATUS[0]}
    if grep -qiE 'Device not supported|not supported on this' "$text"; then
        echo "compute-sanitizer cannot work on this machine: $(grep -iE 'not supported' "$text" | head -1)"
        status=77
    elif [ "$status" -eq 0 ] && ! grep -qE 'ERROR SUMMARY: 0 errors|RACECHECK SUMMARY: 0 hazards' "$text"; then
        echo "no closing line of $tool without errors was seen"
        status=1
    fi
    rm -f "$text"
    return "$status"
}
card() {
    env LD_LIBRARY_PATH="$library_path" "$root/bin/cuda_card_json" "$results/card.json" "$root/tests/h100.json" >"$results/card_differences.txt" || return 1
    cp "$root/tests/h100.json" "$results/card_described.json"
    cat "$results/card_differences.txt"
    echo "$(wc -l <"$results/card_differences.txt") differences from the described card"
}
plans() {
    if [ ! -s "$root/tests/plans_h100" ]; then
        echo "the archive has no plans"
        return 77
    fi
    env LD_LIBRARY_PATH="$library_path" "$root/bin/cuda_plan_carry" run "$root/tests/plans_h100"
}
precision_table() {
    if ! "$python" -c 'import torch, onnx, numpy' 2>/dev/null; then
        echo "$python has no torch, onnx or numpy"
        return 77
    fi
    if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
        echo "torch of $python sees no card"
        return 77
    fi
    "$python" "$root/bench/precision.py" --golden "$root/tests/golden" --rows "$results/golden_errors" --out "$results/precision.txt"
}
export results
export -f criterion demo find_sanitizer sanitizer card plans precision_table

correctness() {
    part card 30 bash -c card
    local precision
    for precision in fp32 tf32 bf16 fp16; do
        ours batchcam selftest --device cuda --precision "$precision"
        part "selftest-$precision" 60 "${run[@]}"
    done
    part pairs 30 bash -c 'criterion test_cuda_pairs'
    part golden-networks 120 bash -c 'criterion test_cuda_card'
    part demo 40 bash -c demo
    part plans-made-without-a-card 40 bash -c plans
    ours cuda_own_kernels 1000 fp16
    part own-kernels-fp16 30 "${run[@]}"
    part memcheck 60 bash -c 'sanitizer memcheck 6'
    part initcheck 60 bash -c 'sanitizer initcheck 3'
    part racecheck 75 bash -c 'sanitizer racecheck 2'
    part precision-beside-pytorch 100 bash -c precision_table
}

# ---- figures ----
figures() {
    local work=$root/work site
    mkdir -p "$work" 2>/dev/null && [ -w "$work" ] || work=$scratch/work
    site=$work/site
    if ! has_python pytorch_grad_cam && ls "$root"/bench/peers/wheels/*.whl >/dev/null 2>&1; then
        mkdir -p "$site"
        local wheel
        for wheel in "$root"/bench/peers/wheels/*.whl; do
            "$python" -m zipfile -e "$wheel" "$site" || say "peers: $(basename "$wheel") could not be unpacked"
        done
        export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
    fi
    local left=$((deadline - SECONDS))
    part "figures-$(basename "$model" .onnx)" "$left" "$python" "$root/bench/figures.py" --model "$model" --root "$root" --out "$results/figures" --work "$work" \
        --minutes "$(awk -v s="$left" 'BEGIN { print (s - 20) / 60 }')" "${further[@]}"
    rm -rf "$results/figures/work"
    [ ! -s "$results/figures/figures_$(basename "$model" .onnx).txt" ] || cat "$results/figures/figures_$(basename "$model" .onnx).txt"
}

say "batchcam $(sed -n 's/.*"version": "\([^"]*\)", "commit": "\([^"]*\)".*/\1 (\2)/p' "$root/build.json"), $mode $model, $(date -u +%Y-%m-%dT%H:%MZ)"
part facts 60 bash -c facts
part libraries 30 bash -c libraries
case $mode in
    correctness) correctness ;;
    figures) figures ;;
esac
say "$failed failed"
