#!/bin/sh
# Runs nvcc and keeps what ptxas says of registers and spills for the tests.
#   nvcc.sh LOG NVCC ARGUMENTS...
log=$1
shift
"$@" -Xptxas=-v >"$log" 2>&1
status=$?
grep -vE '^ptxas info|^ *[0-9]+ bytes stack frame|^$' "$log" >&2
exit $status
