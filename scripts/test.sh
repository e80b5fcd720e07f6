#!/bin/bash
# Builds and runs every test twice: as it is shipped (build/test), and under the sanitizers (build/asan). ctest's closing lines come last.
set -euo pipefail
cd "$(dirname "$0")/.."

for preset in ci asan; do
    cmake --preset "$preset"
    cmake --build --preset "$preset"
done

# One ctest over both builds, so that its closing lines count everything. Tests of the second are called asan.*.
all=build/ctest
mkdir -p "$all"
printf 'subdirs("%s" "%s")\n' "$PWD/build/test" "$PWD/build/asan" >"$all/CTestTestfile.cmake"

# ctest counts executables; single tests that were skipped inside one are listed just before its closing lines.
BCAM_SKIP_LIST=$PWD/$all/skipped.txt
export BCAM_SKIP_LIST
rm -f "$BCAM_SKIP_LIST"
skipped_inside() {
    [ ! -s "$BCAM_SKIP_LIST" ] || printf '\nSkipped inside an executable (both builds together):\n%s\n\n' "$(sort -u "$BCAM_SKIP_LIST")"
}

ctest --test-dir "$all" --output-on-failure -j "$(nproc)" "$@" </dev/null 2>&1 | {
    while IFS= read -r line; do
        case $line in
            *"tests passed,"* | "No tests were found"*) skipped_inside ;;
        esac
        printf '%s\n' "$line"
    done
}
