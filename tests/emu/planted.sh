#!/bin/bash
# A planted fault must be found: passes if PROGRAM fails and its report has PATTERN. With the pattern "clean" it must not fail and say nothing.
#   planted.sh PATTERN PROGRAM [ARGUMENT]
pattern=$1
shift
output=$("$@" 2>&1)
status=$?
if [ "$pattern" = clean ]; then
    [ "$status" = 0 ] && ! grep -qE "Sanitizer|runtime error:|emu:" <<<"$output" && exit 0
    echo "$* has no planted fault, but ended with $status:"
else
    [ "$status" != 0 ] && tr '\n' ' ' <<<"$output" | grep -qE "$pattern" && exit 0
    echo "$* ended with $status, without '$pattern' in its report:"
fi
# The words that fail a test wherever they stand are taken apart.
sed 's/Sanitizer/Sani-tizer/g; s/runtime error:/run time error:/g' <<<"$output"
exit 1
