#!/bin/bash
# Builds the fuzz targets with clang and libFuzzer. Exit status 77: there is no clang that can.
#   build.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! printf 'int LLVMFuzzerTestOneInput(const char *d, long n); int LLVMFuzzerTestOneInput(const char *d, long n) { return d && n < 0; }' |
    clang -fsanitize=fuzzer,address,undefined -x c - -o /dev/null 2>/dev/null; then
    echo "skipped: libFuzzer needs clang and its run time (scripts/setup.sh test)"
    exit 77
fi
cmake -S . -B "$1" -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O1 -g" -DBCAM_FUZZ=ON
cmake --build "$1" --target fuzz_programs
