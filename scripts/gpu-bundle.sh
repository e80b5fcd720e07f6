#!/bin/bash
# Makes one archive that proves and measures the CUDA device on a machine with a card: build/batchcam-gpu-VERSION-COMMIT.tar.xz. It is unpacked
# anywhere, and gpu-check.sh at its top is run there (docs/gpu.md).
#
#   scripts/gpu-bundle.sh [--build FOLDER] [--out FOLDER] [cmake options …]
#
# Inside are the command, the library, the plug-in for all cards, test and measuring programs, goldens, weight-free models, the peers' scripts, and the
# shared libraries that a bare machine with a driver, CUDA and cuDNN lacks. At most 30 MB.
set -euo pipefail
cd "$(dirname "$0")/.."

build=build/gpu out=build limit=$((30 * 1000 * 1000))
options=()
while [ $# -gt 0 ]; do
    case $1 in
        --build) build=$2; shift 2 ;;
        --out) out=$2; shift 2 ;;
        -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit ;;
        *) options+=("$1"); shift ;;
    esac
done

say() { printf 'gpu-bundle: %s\n' "$*"; }
die() { say "$*" >&2; exit 1; }

programs=(batchcam bench_net bench_steps bench_ceiling bench_cam test_cuda_card test_cuda_pairs cuda_own_kernels cuda_card_json cuda_plan_carry)

# ---- build: everything finds its libraries in lib/ beside bin/. DT_RPATH, not RUNPATH: it also counts for what the libraries there need. ----
# shellcheck disable=SC2016 # $ORIGIN is the loader's
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBCAM_CUDA=ON -DBCAM_BUILD_TESTS=ON -DBCAM_BUILD_BENCH=ON -DBCAM_WERROR=OFF \
    -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON '-DCMAKE_INSTALL_RPATH=$ORIGIN/../lib' \
    -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags "${options[@]}"
cmake --build "$build" --target batchcam_command batchcam_cuda bcam_no_device "${programs[@]:1}"

version=$(sed -n 's/^#define BCAM_VERSION_STRING "\(.*\)"/\1/p' include/batchcam.h)
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || commit=$commit-changed
name=batchcam-gpu-$version-$commit
stage=$build/bundle
tree=$stage/$name
rm -rf "$stage"
mkdir -p "$tree"/{bin,lib/fallback,bench,tests,demo}

# ---- what was built ----
for program in "${programs[@]}"; do
    file=$build/$program
    [ -x "$file" ] || file=$build/tests/$program
    cp "$file" "$tree/bin/"
done
cp -P "$build"/libbatchcam.so* "$tree/lib/"
cp "$build/libbatchcam_cuda.so" "$tree/lib/"
ln -s ../lib/libbatchcam_cuda.so "$tree/bin/libbatchcam_cuda.so" # programs that carry the library inside look beside themselves

# ---- what it needs: all but the C library, the driver and CUDA. The C++ run time is a fallback only: CUDA's libraries want the machine's own. ----
left_out='^(linux-vdso|ld-linux|libc|libm|libdl|libpthread|librt|libresolv|libutil|libcuda|libcudart|libcublas|libcublasLt|libcudnn|libnv[a-zA-Z]*)[.-]'
needs() { # the paths of what a file needs, found as the loader would
    ldd "$1" | sed -n 's/^[[:space:]]*[^ ]* => \(\/[^ ]*\) .*/\1/p'
}
for file in "$tree"/bin/* "$tree"/lib/*.so; do
    [ -L "$file" ] || needs "$file"
done | sort -u | while read -r library; do
    base=$(basename "$library")
    if [[ $base =~ $left_out ]] || [ -e "$tree/lib/$base" ]; then
        continue
    fi
    case $base in
        libstdc++.* | libgcc_s.*) cp -L "$library" "$tree/lib/fallback/" ;;
        *) cp -L "$library" "$tree/lib/" ;;
    esac
done
find "$tree/bin" "$tree/lib" -type f -exec strip --strip-unneeded {} +

# ---- what it works on ----
cp scripts/gpu-check.sh "$tree/"
cp bench/*.py "$tree/bench/"
cp -r bench/models bench/peers "$tree/bench/"
rm -rf "$tree"/bench/models/*.bin "$tree"/bench/{models,peers}/__pycache__
cp -r tests/golden "$tree/tests/"
rm -rf "$tree"/tests/golden/__pycache__ "$tree"/tests/golden/real_*
cp tests/emu/h100.json "$tree/tests/"
cp data/model.onnx data/names.txt data/preprocess.json "$tree/demo/"
mkdir "$tree/demo/photos"
find data/photos -type f | sort | awk 'NR % 9 == 1' | head -24 | while read -r photo; do cp "$photo" "$tree/demo/photos/"; done

# Plans made here, for a described card.
LD_LIBRARY_PATH=$build/no_device${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$build/tests/cuda_plan_carry" make tests/emu/h100.json "$tree/tests/plans_h100" ||
    say "no plans could be made for a described card; that part will be reported as skipped"

# A peer's wheels, where there is a network: a machine with a card may have none.
mkdir -p "$build/wheels"
if ! ls "$build"/wheels/grad_cam-*.whl >/dev/null 2>&1; then
    timeout 120 "${PYTHON:-python3}" -m pip wheel --quiet --no-deps --wheel-dir "$build/wheels" grad-cam ttach >/dev/null 2>&1 ||
        say "pytorch-grad-cam could not be fetched (PYTHON names a Python with pip); it is left out, and must be there on the other machine"
fi
mkdir -p "$tree/bench/peers/wheels"
cp "$build"/wheels/*.whl "$tree/bench/peers/wheels/" 2>/dev/null || true

# ---- what it is ----
glibc=$(find "$tree/bin" "$tree/lib" -type f -exec objdump -T {} + 2>/dev/null | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
glibcxx=$(find "$tree/bin" "$tree/lib" -maxdepth 1 -type f -exec objdump -T {} + 2>/dev/null | grep -o 'GLIBCXX_[0-9.]*' | sort -uV | tail -1)
cuda=$(sed -n 's/^#define CUDART_VERSION *//p' "$(sed -n 's/^BCAM_CUDART_INCLUDE:PATH=//p' "$build/CMakeCache.txt")/cuda_runtime_api.h")
cat >"$tree/build.json" <<END
{"version": "$version", "commit": "$commit", "built": "$(date -u +%Y-%m-%dT%H:%MZ)", "needs_glibc": "${glibc#GLIBC_}", "needs_libstdcxx": "$glibcxx",
 "cuda": "$((${cuda:-0} / 1000)).$((${cuda:-0} % 1000 / 10))"}
END
cat >"$tree/README.txt" <<END
batchcam $version ($commit): proof and figures of its CUDA device. On a machine with an NVIDIA card (Turing or newer), its driver, CUDA $((${cuda:-0} / 1000)),
cuDNN 9 and glibc ${glibc#GLIBC_} or newer:

    ./gpu-check.sh correctness            at most 5 minutes
    ./gpu-check.sh figures resnet50       at most 8 minutes; needs a Python with torch, torchvision and numpy for the peers

Each writes one archive of results into \$OUT, or the folder it is run from.
END

# ---- pack ----
mkdir -p "$out"
tar -C "$stage" --sort=name --owner=0 --group=0 --numeric-owner -c "$name" | xz -T0 --lzma2=preset=6,dict=64MiB >"$out/$name.tar.xz"
size=$(stat -c %s "$out/$name.tar.xz")
goldens=$(du -sb "$tree/tests/golden" | cut -f1)
[ "$goldens" -le 15000000 ] || die "the goldens are $goldens bytes; at most 15 MB may travel"
[ "$size" -le "$limit" ] || die "$out/$name.tar.xz is $size bytes; at most 30 MB may travel"

# ---- does it stand alone? unpacked elsewhere, every program finds all but CUDA, and nothing of this build; all that is not the system's own, here. ----
trial=$(mktemp -d "${TMPDIR:-/tmp}/batchcam-XXXXXX")
trap 'rm -rf "$trial"' EXIT
tar -C "$trial" -xf "$out/$name.tar.xz"
for file in "$trial/$name"/bin/* "$trial/$name/lib/libbatchcam_cuda.so"; do
    if [ -L "$file" ]; then continue; fi
    bad=$(env -i ldd "$file" | grep -E "not found|$PWD/|$(realpath "$build")/" | grep -vE '^[[:space:]]*lib(cuda|cudart|cublas|cublasLt|cudnn)[.]' || true)
    [ -z "$bad" ] || die "$(basename "$file") does not stand alone: $bad"
    outside=$(env -i ldd "$file" | sed -n 's/^[[:space:]]*\([^ ]*\) => \(\/[^ ]*\) .*/\1 \2/p' | grep -v " $trial/" | grep -vE "$left_out" |
        grep -vE '^lib(stdc\+\+|gcc_s)[.]' || true)
    [ -z "$outside" ] || die "$(basename "$file") takes this from the system: $outside"
done
env -i PATH=/usr/bin:/bin "$trial/$name/bin/batchcam" --version >/dev/null || die "the unpacked command does not run"
say "$out/$name.tar.xz: $size bytes, needs glibc ${glibc#GLIBC_}"
