#!/bin/sh
# Makes a virtual environment with what the peers need, from PyPI.
#   bench/peers/setup.sh FOLDER        then: FOLDER/bin/python bench/peers/torch_eager.py --model resnet50
# PYTHON names another Python than python3; wheels that lie in wheels/ beside this script are taken first.
set -eu
folder=${1:?"setup.sh FOLDER"}
here=$(cd "$(dirname "$0")" && pwd)
"${PYTHON:-python3}" -m venv "$folder"
mkdir -p "$here/wheels"
"$folder/bin/python" -m pip install --quiet --find-links "$here/wheels" \
    numpy pillow matplotlib onnx torch torchvision onnxruntime grad-cam torchcam captum
"$folder/bin/python" - <<'END'
from importlib.metadata import version
print(", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "onnxruntime", "grad-cam", "torchcam", "captum")))
END
