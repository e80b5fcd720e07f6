#!/bin/sh
# Makes a virtual environment with what the peers need, from PyPI.
#   bench/peers/setup.sh FOLDER        then: FOLDER/bin/python bench/peers/torch_eager.py --model resnet50
# PYTHON names another Python than python3; wheels that lie in wheels/ beside this script are taken first.
set -eu
folder=${1:?"setup.sh FOLDER"}
here=$(cd "$(dirname "$0")" && pwd)
"${PYTHON:-python3}" -m venv "$folder"
mkdir -p "$here/wheels"
"$folder/bin/python" -m pip install --quiet --find-links "$here/wheels" numpy torch torchvision onnx grad-cam
"$folder/bin/python" -c 'import torch, torchvision, onnx, pytorch_grad_cam; print("torch", torch.__version__, "torchvision", torchvision.__version__)'
