#!/bin/bash
# A run over 100,000 photos, watched: tests/soak/soak.py says what is looked at. Alone on the machine, or its timing says nothing.
#   scripts/soak.sh [--save] [OPTION ...]        --save: write the figures to bench/results/soak-cpu.md
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset release >/dev/null
cmake --build --preset release --target batchcam_command >/dev/null

options=()
for option in "$@"; do
    case $option in
        --save) options+=(--save bench/results/soak-cpu.md) ;;
        *) options+=("$option") ;;
    esac
done
export XDG_CACHE_HOME=$PWD/build/cache OMP_WAIT_POLICY=passive
exec "${PYTHON:-/usr/bin/python3}" -B tests/soak/soak.py build/batchcam data --folder build "${options[@]}"
