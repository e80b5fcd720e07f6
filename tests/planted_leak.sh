#!/bin/bash
# Passes only if ctest, with the properties of all our tests, fails the planted leak, and because of the leak.
#   planted_leak.sh CTEST FOLDER      FOLDER holds a CTestTestfile.cmake with that one test
set -uo pipefail

output=$("$1" --test-dir "$2" --output-on-failure 2>&1)
status=$?
if [ "$status" -eq 0 ]; then
    echo "the planted leak went through unnoticed"
    exit 1
fi
if ! grep -q 'detected memory leaks' <<<"$output"; then
    echo "the planted test failed, but not because of its leak:"
    echo "${output//Sanitizer/S-anitizer}" # that word would fail this test for the wrong reason
    exit 1
fi
echo "the planted leak was caught"
