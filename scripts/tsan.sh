#!/bin/bash
# The tests of the stream, and the command under signals and over some thousand photos, under ThreadSanitizer: docs/testing.md.
#   scripts/tsan.sh [CTEST OPTION ...]
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset tsan
cmake --build --preset tsan
exec ctest --preset tsan -j "$(nproc)" "$@" </dev/null
