#!/bin/sh
# Explains the photos in data/ with the little classifier in data/, and says where the pictures are.
set -eu
cd "$(dirname "$0")/.."

cmake --preset release
cmake --build --preset release

explain() { # photos, output folder
    set -- run data/model.onnx "$1" -o "$2" --names data/names.txt --preprocess data/preprocess.json --overlay --overwrite
    printf '\n$ build/batchcam %s\n' "$*"
    build/batchcam "$@"
}
explain data/photos build/demo
explain data/photos-without-tag build/demo-without-tag

cat <<END

The heatmaps over their photos are in build/demo/overlays; build/demo/report.html shows them class by class.
Look at the yachts: the network looks at the striped tag in the corner, not at the boat. Without the tag it
no longer knows them, as the warning above says: see build/demo-without-tag/report.html.
END
