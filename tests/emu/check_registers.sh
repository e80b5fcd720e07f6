#!/bin/bash
# What nvcc makes of the kernels for real cards: no spills, no local memory, no more registers than the bound, and in every kernel that takes
# packs of 16 bytes loads of 16 bytes (seen in PTX, which ptxas keeps). Prints the largest of every file.
#   check_registers.sh ROOT NVCC BUILD_FOLDER [ARCHITECTURES]
# Exit status 77 (skipped) where there is no nvcc. A log of ptxas -v beside the plug-in's objects (BUILD_FOLDER/kernels/NAME.ptxas), newer than
# its sources, is taken instead of compiling once more.
set -uo pipefail
root=$1 nvcc=$2 build=$3 architectures=${4:-"75 80 86 89 90 100 120"}
bound=80
command -v "$nvcc" >/dev/null || { echo "skipped: no nvcc"; exit 77; }
mkdir -p "$build/registers"
flags=(-std=c++17 -O3 "-I$root" "-I$root/include" "-I$root/src" "-I$root/kernels")
known=$("$nvcc" --list-gpu-code)
codes=()
for a in $architectures; do
    if grep -qx "sm_$a" <<<"$known"; then
        codes+=("-gencode=arch=compute_$a,code=sm_$a")
    else
        echo "sm_$a: this nvcc does not know it"
    fi
done

resources() { # of one log; fails if a kernel is too large
    awk -v file="$1" -v bound="$bound" '
        /Compiling entry function/ { kernel = $(NF - 2); target = $NF; gsub(/\047/, "", kernel); gsub(/\047/, "", target) }
        /bytes stack frame/ { stack = $1; stores = $5; loads = $9 }
        /Used [0-9]+ registers/ {
            for (i = 1; i < NF; i++) if ($i == "Used") registers = $(i + 1)
            count++
            if (registers > most[target]) most[target] = registers
            if (stack + stores + loads > 0 || registers > bound) {
                printf "%s %s: %d registers, %d bytes of stack, spills %d stored %d loaded\n", target, kernel, registers, stack, stores, loads
                bad = 1
            }
        }
        END {
            line = sprintf("%-12s %4d kernels, most registers:", file, count)
            for (t in most) line = line sprintf(" %s %d", t, most[t])
            print line
            exit bad || count == 0
        }' "$2"
}

wide_loads() { # in PTX: kernels whose template arguments say that a pack is 16 bytes, without one load of 16 bytes
    awk '
        function done() { if (name != "" && packs && !loads) { print name ": no load of 16 bytes"; bad = 1 } }
        /\.entry/ { done(); name = $0; sub(/.*\.entry /, "", name); sub(/\(.*/, "", name); loads = 0
                    packs = name ~ /(halfLi8|bfloat16Li8|fLi4|I5uint4)E/ && name !~ /(convert|upsample)/ }
        /ld\.global(\.nc)?\.v4\.[buf]32/ { loads++ }
        END { done(); exit bad }' "$1"
}

bad=0
for source in "$root"/kernels/*.cu; do
    name=$(basename "$source" .cu)
    log=$build/kernels/$name.ptxas
    if [ ! "$log" -nt "$source" ] || [ ! "$log" -nt "$root/kernels/device.h" ] || [ ! "$log" -nt "$root/kernels/box.h" ]; then
        log=$build/registers/$name.ptxas
        if ! "$nvcc" "${flags[@]}" "${codes[@]}" --threads 2 -Xptxas -v -c "$source" -o "$build/registers/$name.o" >"$log" 2>&1; then
            grep -E "error|fatal" "$log" | head -n 5
            bad=1
            continue
        fi
    fi
    resources "$name" "$log" || bad=1
    "$nvcc" "${flags[@]}" -arch=compute_90 -ptx "$source" -o "$build/registers/$name.ptx" && wide_loads "$build/registers/$name.ptx" || bad=1
done
[ "$bad" = 0 ] && echo "no spills, no local memory, at most $bound registers, loads of 16 bytes in all packed kernels"
exit "$bad"
