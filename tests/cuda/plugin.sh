#!/bin/bash
# The plug-in exports bcam_plugin_open alone, wants nothing of its host, and says where its libraries are.   plugin.sh LIBBATCHCAM_CUDA.SO
set -euo pipefail
export LC_ALL=C
problems=0
problem() {
    echo "$1: $2"
    problems=1
}

exported=$(nm -D --defined-only "$1" | awk '{ print $NF }' | grep -v '^_' | sort | tr '\n' ' ')
[ "$exported" = 'bcam_plugin_open ' ] || problem "$1" "exports $exported"
wanted=$(nm -D --undefined-only "$1" | awk '$NF ~ /^bcam_/ { printf "%s ", $NF }')
[ -z "$wanted" ] || problem "$1" "wants of its host: $wanted"
dynamic=$(readelf -d "$1")
for library in libcudart libcublas libcudnn; do
    grep -q "NEEDED.*\[$library\.so" <<<"$dynamic" || problem "$1" "is not linked with $library"
done
path=$(sed -nE 's/.*RUNPATH.*\[(.*)\].*/\1/p' <<<"$dynamic")
for folder in \$ORIGIN /usr/local/cuda/lib64 \$ORIGIN/../nvidia/cu13/lib \$ORIGIN/../nvidia/cudnn/lib; do
    [[ :$path: == *:"$folder":* ]] || problem "$1" "does not look in $folder"
done
[[ :$path: != *::* ]] || problem "$1" "looks for its libraries in the working folder"
exit $problems
