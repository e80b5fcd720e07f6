#!/bin/bash
# Checks format, layers, scripts and what clang-tidy finds; --fix formats the sources in place instead.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(git ls-files --cached --others --exclude-standard '*.c' '*.h')
if [ "${1-}" = --fix ]; then
    clang-format -i "${sources[@]}"
    exit
fi

failed=0
clang-format --dry-run --Werror "${sources[@]}" || failed=1
mapfile -t scripts < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)
shellcheck "${scripts[@]}" || failed=1
tests/check_layers.sh || failed=1
cmake --preset release >/dev/null
mapfile -t compiled < <(git ls-files --cached --others --exclude-standard 'src/*.c' ':!src/cuda') # src/cuda needs the CUDA toolkit
clang-tidy --quiet -p build "${compiled[@]}" || failed=1
exit "$failed"
