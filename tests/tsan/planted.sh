#!/bin/bash
# Passes only if both planted races are seen, each where it is, and the same work without one is not reported.
#   planted.sh EXECUTABLE
set -uo pipefail

fail() {
    echo "planted: $1"
    echo "${output//Sanitizer/S-anitizer}" # that word would fail this test for the wrong reason
    exit 1
}

output=$("$1" clean 2>&1) || fail "work without a race is reported: OpenMP's barriers are not known"
for race in openmp threads; do
    output=$("$1" "$race" 2>&1) && fail "the race planted in $race went through unnoticed"
    grep -q 'data race' <<<"$output" || fail "the run with a race in $race failed, but not because of it"
    grep -q "SUMMARY: .*data race .*planted.c:" <<<"$output" || fail "the race in $race was seen elsewhere"
done
echo "both planted races were seen"
