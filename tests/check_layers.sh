#!/bin/bash
# The rules of the house (docs/architecture.md), checked:
#   - who may include whom, and which room may use which foreign library, in one file a room
#   - every header compiles alone
#   - nothing in the library prints or ends the process
#   - libbatchcam.so exports exactly what batchcam.h declares; every symbol shared between files begins with bcam_
#
#   check_layers.sh [BUILD_FOLDER]     symbols are checked where a build is given
#   check_layers.sh --self-check       plants violations in a copy and sees whether they are found
# shellcheck disable=SC2030,SC2031 # what is found in the self-check's copy is counted in a shell of its own
set -uo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# room: the rooms that its files may include, besides their own and batchcam.h. A room that is not here may not exist.
declare -A may=(
    [base]=""
    [dev]="base"
    [cpu]="base dev"
    [cuda]="base dev kernels"
    [check]="base dev"
    [net]="base dev"
    [cam]="base dev net"
    [in]="base"
    [out]="base"
    [audit]="base"
    [run]="base dev cpu net cam in out audit check"
    [api]="base run check"
    [cli]=""
)

# library: what its headers look like, and the rooms that may use it; where several files do, the one header of theirs that includes it
libraries="
nettle   nettle/                 base
onednn   (oneapi/|dnnl\.h)       cpu     src/cpu/dnnl.h
jpeg     (jpeglib|jerror|jconfig|turbojpeg)  in,out
png      png                     in
exif     libexif/                in
sqlite   sqlite3                 out
cjson    (cjson/)?cJSON          in,out
cublas   cublas                  cuda
cudnn    cudnn_                  cuda     src/cuda/desc.h
archive  archive(_entry)?\.h     in
zlib     (zlib|zconf)            -
"

problems=0
problem() {
    printf '%s\n' "$*"
    problems=$((problems + 1))
}

sources() { # a folder; prints the files that are C
    find "$1" -type f \( -name '*.c' -o -name '*.h' -o -name '*.def' -o -name '*.inc' -o -name '*.cu' \) | sort
}

room_of() { # src/net/grad.c → net; src/api.c → api
    local path=${1#src/}
    case $path in
        */*) echo "${path%%/*}" ;;
        *) echo "${path%.c}" ;;
    esac
}

check_includes() {
    local file room target other
    while read -r file; do
        room=$(room_of "$file")
        if [ -z "${may[$room]+known}" ]; then
            problem "$file: there is no room '$room' in the house"
            continue
        fi
        while read -r target; do
            case $target in
                batchcam.h) continue ;;
                */*) other=${target%%/*} ;;
                *) other=$room ;;
            esac
            if [ "$other" = "$room" ]; then
                [ -f "src/$target" ] || [ -f "$(dirname "$file")/$target" ] || problem "$file: includes \"$target\", which is not there"
            elif [[ " ${may[$room]} " != *" $other "* ]]; then
                problem "$file: $room may not include $other (\"$target\")"
            fi
        done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]+)".*/\1/p' "$file")
    done < <(sources src)
}

check_libraries() {
    local name pattern rooms header file room files
    while read -r name pattern rooms header; do
        [ -n "$name" ] || continue
        declare -A used=()
        while read -r file; do
            room=$(room_of "$file")
            used[$room]+="$file "
            [[ ",$rooms," == *",$room,"* ]] || problem "$file: $room may not use $name"
            [[ $file != *.h || $file = "$header" ]] || problem "$file: a header may not include $name: the one file that uses it does"
        done < <(grep -rlE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]$pattern" src --include='*.c' --include='*.h' --include='*.def' | sort)
        for room in "${!used[@]}"; do
            read -ra files <<<"${used[$room]}"
            [ "${#files[@]}" -le 1 ] || problem "$room uses $name in ${#files[@]} files, but one must do: ${files[*]}"
        done
        unset used
    done <<<"$libraries"
}

check_headers() {
    local header message
    local cuda=${CUDA_PATH:-/usr/local/cuda}/include
    while read -r header; do
        [[ $header != src/cuda/* || -e $cuda/cuda_runtime_api.h ]] || continue # needs the toolkit
        [[ $header != src/cuda/desc.h || -e $cuda/cudnn_graph.h ]] || continue # and cuDNN, which may lie elsewhere
        if ! message=$("${CC:-cc}" -std=c11 -D_GNU_SOURCE -fsyntax-only -Iinclude -Isrc -I. -isystem "$cuda" -I"$(dirname "$header")" -x c - <<<"#include \"$PWD/$header\"" 2>&1); then
            problem "$header does not compile alone: $(head -n 2 <<<"$message" | tr '\n' ' ')"
        fi
    done < <({ find include src -name '*.h'; } | sort)
}

# Comments and strings are taken out first, so that prose may say printf.
code_of() {
    "${CC:-cc}" -fpreprocessed -dD -E -P -x c "$1" 2>/dev/null | sed -E 's/"([^"\\]|\\.)*"/""/g'
}

check_calls() {
    local file hits
    local calls='\<(printf|vprintf|puts|putchar|perror|exit|_exit|_Exit|quick_exit|abort|err|errx|warn|warnx|system)[[:space:]]*\(|\<(stdout|stderr)\>'
    while read -r file; do
        case $file in src/cli/*) continue ;; esac
        hits=$(code_of "$file" | grep -oE "$calls" | sort -u | tr '\n' ' ')
        [ -z "$hits" ] || problem "$file: the library never prints or ends the process, but here is: $hits"
    done < <(sources src)
}

check_symbols() { # build folder
    local build=$1 archive naked twice exported declared
    for archive in "$build"/libbcam_*.a; do
        [ -e "$archive" ] || continue
        naked=$(nm --defined-only --extern-only "$archive" 2>/dev/null | awk 'NF == 3 && $3 !~ /^(bcam_|__asan_|__odr_asan|__ubsan_)/ { printf "%s ", $3 }')
        [ -z "$naked" ] || problem "$(basename "$archive"): these symbols do not begin with bcam_: $naked"
    done
    twice=$(for archive in "$build"/libbcam_*.a; do
        [ ! -e "$archive" ] || nm --defined-only --extern-only "$archive" 2>/dev/null | awk 'NF == 3 && $2 ~ /[TDBR]/ { print $3 }' | sort -u
    done | grep '^bcam_' | sort | uniq -d | tr '\n' ' ')
    [ -z "$twice" ] || problem "two rooms define the same symbol: $twice"
    [ -e "$build/libbatchcam.so" ] || return
    exported=$(nm -D --defined-only --extern-only "$build/libbatchcam.so" | awk '{ sub(/@.*/, "", $3); print $3 }' | grep -vE '^(__asan_|__odr_asan|__ubsan_|_init$|_fini$)' | sort -u)
    declared=$(sed -nE 's/^BCAM_API .*\<(bcam_[a-z0-9_]+)\(.*/\1/p' include/batchcam.h | sort -u)
    [ "$exported" = "$declared" ] ||
        problem "libbatchcam.so and batchcam.h differ (< only exported, > only declared): $(diff <(echo "$exported") <(echo "$declared") | grep '^[<>]' | tr '\n' ' ')"
}

check_all() { # source folder, build folder or ""
    cd "$1" || exit 1
    check_includes
    check_libraries
    check_headers
    check_calls
    [ -z "$2" ] || check_symbols "$2"
}

# ---- the check of the check ----

house() { # makes a small house that keeps every rule
    rm -rf "$scratch/house" && mkdir -p "$scratch/house/include" "$scratch/house/build" && cd "$scratch/house" || exit 1
    for room in "${!may[@]}"; do
        [ "$room" = api ] || mkdir -p "src/$room"
    done
    printf '#include <stdio.h>\n#define BCAM_API __attribute__((visibility("default")))\nBCAM_API int bcam_one(void);\n' >include/batchcam.h
    printf '#pragma once\n#include "batchcam.h"\nint bcam_base(void);\n' >src/base/base.h
    printf '#pragma once\n#include "base/base.h"\n' >src/dev/dev.h
    printf '#include "dev/dev.h"\n/* printf("in a comment") */\nint bcam_net(void);\nint bcam_net(void) { return 0; }\n' >src/net/net.c
    printf '#include "base/base.h"\n#include <jpeglib.h>\n' >src/in/jpeg.c
    printf '#include "base/base.h"\n' >src/run/run.h
    printf '#include "run/run.h"\nint bcam_one(void) { return 1; }\n' >src/api.c
    printf '#include "batchcam.h"\nint main(void) { puts("fine here"); return 0; }\n' >src/cli/main.c
}

compile_house() {
    for room in net out; do
        [ ! -e src/$room/$room.c ] || "${CC:-cc}" -w -c -fPIC -fvisibility=hidden -Iinclude -Isrc src/$room/$room.c -o build/$room.o && ar rc build/libbcam_$room.a build/$room.o
    done
    "${CC:-cc}" -w -shared -fPIC -fvisibility=hidden -Iinclude -Isrc src/api.c -o build/libbatchcam.so
}

expect() { # words that must be in the findings ("" for none), what was planted
    local found
    compile_house 2>/dev/null # what is planted may not compile; the older objects will do then
    found=$(check_all "$PWD" "$PWD/build")
    if [ -z "$1" ] && [ -n "$found" ]; then
        problem "self-check: $2, but it was found fault with: $found"
    elif [ -n "$1" ] && [[ $found != *"$1"* ]]; then
        problem "self-check: $2 went unnoticed (found: ${found:-nothing})"
    fi
}

self_check() {
    house && expect "" "the house keeps every rule"
    house && echo '#include "dev/dev.h"' >>src/base/base.h && expect "base may not include dev" "an arrow from base to dev"
    house && echo '#include "in/in.h"' >src/out/out.c && expect "out may not include in" "a sibling included"
    house && echo '#include "base/base.h"' >>src/cli/main.c && expect "cli may not include base" "the command looking inside"
    house && echo '#include "net/net.h"' >>src/api.c && expect "api may not include net" "api.c looking past run"
    house && mkdir src/attic && echo 'int bcam_x;' >src/attic/x.c && expect "no room 'attic'" "a room that is not in the table"
    house && echo '#include "net/gone.h"' >>src/net/net.c && touch src/net/gone.h && expect "" "a room's own header is fine"
    house && echo '#include <png.h>' >src/out/png.c && expect "out may not use png" "a library in the wrong room"
    house && echo '#include <jpeglib.h>' >src/in/more.c && expect "uses jpeg in 2 files" "a library in two files"
    house && echo 'bcam_unknown x;' >>src/dev/dev.h && expect "does not compile alone" "a header that does not compile alone"
    house && echo 'void bcam_p(void); void bcam_p(void) { printf("x"); }' >>src/net/net.c && expect "never prints" "printf in the library"
    house && echo 'void bcam_p(void); void bcam_p(void) { abort(); }' >>src/net/net.c && expect "never prints" "abort in the library"
    house && echo 'int naked; int naked = 1;' >>src/net/net.c && expect "do not begin with bcam_" "a symbol without prefix"
    house && echo 'int bcam_net(void) { return 1; }' >src/out/out.c && expect "two rooms define the same symbol: bcam_net" "a symbol in two rooms"
    house && echo '__attribute__((visibility("default"))) int bcam_two(void) { return 2; }' >>src/api.c && expect "differ" "an export that is not declared"
    house && echo 'BCAM_API int bcam_three(void);' >>include/batchcam.h && expect "differ" "a declaration that is not exported"
}


scratch=$(mktemp -d "${TMPDIR:-/tmp}/batchcam-XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT

if [ "${1-}" = --self-check ]; then
    self_check
else
    build=${1:+$(cd "$1" && pwd)}
    check_all "$(dirname "$here")" "${build-}"
fi
[ "$problems" -eq 0 ] || { echo "$problems problems"; exit 1; }
echo "the rules are kept"
