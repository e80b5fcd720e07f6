#!/bin/bash
# The whole job, photos to saved maps, by batchcam and by its peers on the CPU: bench/results/pipeline-cpu.{md,csv,json}, a table in docs/performance.md.
#   scripts/pipeline.sh [OPTION ...]   options go to bench/end_to_end.py, such as --short, --from PHOTOS, --work FOLDER, --only resnet50-500x375
# The peers come from PyPI into build/peers/venv, once. PEERS_VENV names another virtual environment, PEERS_BUILD another build folder.
# Nothing else should run on the machine. Photos take 2 GB, and are made once.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${PEERS_BUILD:-build/peers}
venv=${PEERS_VENV:-$build/venv}

cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBCAM_BUILD_TESTS=OFF -DBCAM_BUILD_BENCH=ON -DBCAM_CUDA=OFF -DBCAM_WERROR=OFF >/dev/null
cmake --build "$build" --target batchcam_command
"$venv/bin/python" -c "import torchvision, pytorch_grad_cam, torchcam" 2>/dev/null || bench/peers/setup.sh "$venv"
exec "$venv/bin/python" -u bench/end_to_end.py --build "$build" "$@"
