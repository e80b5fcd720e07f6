#!/bin/bash
# The machine code of the own kernels, as a disassembler shows it: a row for each kernel with its registers, its shared
# memory, the threads of an SM that its registers leave room for, the widths of the global loads and stores inside its
# loops, how many loads of 16 bytes follow one another without a wait, and what it has in local memory.
#   sass.sh ROOT BUILD_FOLDER NVCC CUOBJDUMP [ARCHITECTURE] [PATTERN]
# PATTERN: rows of these kernels only; the 8 of <__half, 8, …> are elements of a pack. An object of the build
# (BUILD_FOLDER/kernels/NAME.o) is taken where it is newer than its sources; else the source is compiled.
# Exit status 77 (skipped) without cuobjdump, nvdisasm or nvcc. It fails where a kernel
#   - touches local memory
#   - takes packs of 16 bytes and has no load of 16 bytes in a loop, or writes packs without a store of 16 bytes
#   - waits between loads that belong together: the taps of a small window, the packs of a sum
set -uo pipefail
root=$1 build=$2 nvcc=$3 cuobjdump=$4 architecture=${5:-90} pattern=${6:-.}
command -v "$cuobjdump" >/dev/null ||
    { echo "skipped: no cuobjdump (of the toolkit, or PyPI's nvidia-cuda-cuobjdump)"; exit 77; }
PATH=$(dirname "$(command -v "$cuobjdump")"):$PATH # nvdisasm lies beside it
command -v nvdisasm >/dev/null || { echo "skipped: no nvdisasm (PyPI's nvidia-cuda-nvdisasm)"; exit 77; }
mkdir -p "$build/sass"
bad=0

disassemble() { # NAME: writes build/sass/NAME.sass and NAME.use
    local name=$1 source=$root/kernels/$1.cu object=$build/kernels/$1.o file
    for file in "$source" "$root"/kernels/*.h; do
        [ "$object" -nt "$file" ] || object=$build/sass/$name.cubin
    done
    if [ ! -e "$object" ] || ! "$cuobjdump" -lelf "$object" 2>/dev/null | grep -q "sm_$architecture"; then
        object=$build/sass/$name.cubin
        command -v "$nvcc" >/dev/null || { echo "skipped: no nvcc"; exit 77; }
        "$nvcc" -std=c++17 -O3 "-I$root/include" "-I$root/src" "-I$root/kernels" "-arch=sm_$architecture" \
            -cubin "$source" -o "$object" || return 1
    fi
    "$cuobjdump" -sass -arch "sm_$architecture" "$object" >"$build/sass/$name.sass" 2>/dev/null &&
        "$cuobjdump" -res-usage -arch "sm_$architecture" "$object" >"$build/sass/$name.use" 2>/dev/null
}

rows() { # of one disassembly
    awk '
        function number(hex,  i, n) {
            n = 0
            for (i = 1; i <= length(hex); i++) n = 16 * n + index("0123456789abcdef", substr(hex, i, 1)) - 1
            return n
        }
        function width(op) { return op ~ /\.128/ ? 128 : op ~ /^[A-Z]+\.E\.64/ ? 64 : 32 }
        function done(  i, j, inside, c, run, most, local, threads, warps, blocks, packs, together, line) {
            if (name == "") return
            split("", c)
            for (i = 1; i <= count; i++) {
                if (op[i] ~ /^(LDL|STL)/) local++
                if (op[i] !~ /^(LDG|STG)/) continue
                inside = 0
                for (j = 1; j <= loops; j++) inside = inside || (at[i] >= from[j] && at[i] <= to[j])
                if (inside) c[substr(op[i], 1, 3) width(op[i])]++
            }
            for (i = 1; i <= count; i++) { # loads of 16 bytes without a branch or a computation with floats in between
                if (op[i] ~ /^LDG.*\.128/) { if (++run > most) most = run }
                else if (op[i] ~ /^(HADD2|PRMT|FADD|FMUL|FFMA|FSETP|STG|BRA|BSYNC|EXIT)/) run = 0
            }
            threads = name ~ /^(_ZN4bcam3cam|_ZN4bcam6colour)/ ? 512 : 256
            warps = 4 * int(16384 / (256 * int((registers[name] * 32 + 255) / 256)))
            blocks = int(warps * 32 / threads)
            if (blocks * threads > 2048) blocks = 2048 / threads
            line = sprintf("%s %d %d %d %d/%d/%d %d/%d/%d %d %d", name, registers[name], shared[name], blocks * threads,
                           c["LDG128"], c["LDG64"], c["LDG32"], c["STG128"], c["STG64"], c["STG32"], most, local)
            packs = name ~ /(halfLi8|bfloat16Li8|fLi4|I5uint4)E/ && name !~ /(convert|upsample)/
            if (local) line = line " LOCAL-MEMORY"
            if (packs && !c["LDG128"]) line = line " NO-WIDE-LOAD"
            if (packs && name !~ /(3cam|fold_along)/ && !c["STG128"]) line = line " NO-WIDE-STORE"
            if (name ~ /(upsampleI6__halfLi8|upsampleIfLi4|colourILb1|prep_flat)/ && !c["STG128"])
                line = line " NO-WIDE-STORE"
            together = name ~ /4pool.*(Li8|fLi4)ELb1/ ? 9 : 0
            if (name ~ /(3cam.*(Li8|fLi4)|fold_.*(Li8|fLi4)ELNS_6FamilyE0)/) together = 4
            if (most < together) line = line " WAITS-BETWEEN-LOADS"
            print line
        }
        FILENAME ~ /use$/ && /Function/ { name = $2; sub(/:$/, "", name) }
        FILENAME ~ /use$/ && /REG:/ {
            for (i = 1; i <= NF; i++) {
                if ($i ~ /^REG:/) registers[name] = substr($i, 5)
                if ($i ~ /^SHARED:/) shared[name] = substr($i, 8)
            }
            name = ""
        }
        FILENAME ~ /sass$/ && /Function :/ { done(); name = $3; count = loops = 0 }
        FILENAME ~ /sass$/ && /^[ \t]+\/\*[0-9a-f]+\*\// && name != "" {
            address = $1
            gsub(/[\/*]/, "", address)
            i = 2
            if ($i ~ /^@/) i++
            count++
            at[count] = number(address)
            op[count] = $i
            if ($i ~ /^BRA/ && match($0, /0x[0-9a-f]+ ;/)) {
                goal = number(substr($0, RSTART + 2, RLENGTH - 4))
                if (goal <= at[count]) { loops++; from[loops] = goal; to[loops] = at[count] }
            }
        }
        END { done() }' "$build/sass/$1.use" "$build/sass/$1.sass"
}

heading="kernel (sm_$architecture)"
printf '%-72s %4s %7s %8s %12s %12s %6s %6s\n' "$heading" regs shared threads loads stores "at once" local
for source in "$root"/kernels/*.cu; do
    name=$(basename "$source" .cu)
    disassemble "$name" || { echo "$name: cannot be disassembled"; bad=1; continue; }
    table=$(rows "$name" | c++filt)
    [ -n "$table" ] || { echo "$name: no kernel found"; bad=1; continue; }
    sed 's/bcam:://g; s/^void //; s/([A-Za-z]*Args)//; s/(Family)//' <<<"$table" | grep -E "$pattern" |
        awk '{ n = NF - ($NF ~ /^[A-Z-]+$/); kernel = $1; for (i = 2; i <= n - 7; i++) kernel = kernel " " $i
               printf "%-72s %4s %7s %8s %12s %12s %6s %6s %s\n",
                      kernel, $(n-6), $(n-5), $(n-4), $(n-3), $(n-2), $(n-1), $n, n < NF ? $NF : "" }'
    grep -qE "LOCAL-MEMORY|NO-WIDE|WAITS" <<<"$table" && bad=1
done
echo "loads, stores: of 16/8/4 bytes or fewer inside loops; at once: loads of 16 bytes one after the other"
[ "$bad" = 0 ] && echo "no local memory; packs go 16 bytes at a time; loads that belong together do not wait in between"
exit "$bad"
