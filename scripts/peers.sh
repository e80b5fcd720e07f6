#!/bin/bash
# batchcam on the CPU beside its peers, and a chart of it: bench/results/peers-cpu.{md,csv,json}, docs/img/peers-cpu.png.
#   scripts/peers.sh [OPTION ...]      options go to bench/figures_cpu.py, such as --short (into bench/results/short), --threads 8, --only resnet50
# The peers come from PyPI into build/peers/venv, once. PEERS_VENV names another virtual environment, PEERS_BUILD another build folder.
# Nothing else should run on the machine.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${PEERS_BUILD:-build/peers}
venv=${PEERS_VENV:-$build/venv}

cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBCAM_BUILD_TESTS=OFF -DBCAM_BUILD_BENCH=ON -DBCAM_CUDA=OFF -DBCAM_WERROR=OFF >/dev/null
cmake --build "$build" --target batchcam_command bench_net bench_verbs bench_decode
"$venv/bin/python" -c "import torchvision, onnxruntime, pytorch_grad_cam, torchcam, captum, matplotlib" 2>/dev/null || bench/peers/setup.sh "$venv"
status=0
"$venv/bin/python" -u bench/figures_cpu.py --build "$build" "$@" || status=1
case " $* " in
    *' --short '* | *' --out '*) ;;
    *) "$venv/bin/python" bench/chart.py ;;
esac
exit "$status"
