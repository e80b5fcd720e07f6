#!/bin/bash
# Installs into a folder of its own, moves it, and uses the installation as a stranger would: the command, the manual page, and the example
# built through pkg-config and through the CMake package. Nothing of the source tree is used but the example's two files and the data.
#   install.sh BUILD_FOLDER
set -euo pipefail

source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/batchcam-XXXXXX")
trap 'rm -rf "$scratch"' EXIT

fail() {
    echo "install: $*"
    exit 1
}

cmake --install "$1" --prefix "$scratch/first" >"$scratch/log"
mv "$scratch/first" "$scratch/prefix"
prefix=$scratch/prefix
libdir=$(dirname "$(find "$prefix" -name libbatchcam.so)")
cp -r "$source/examples" "$scratch/example"
model=$source/data/model.onnx

for file in include/batchcam.h share/man/man1/batchcam.1 share/bash-completion/completions/batchcam; do
    [ -s "$prefix/$file" ] || fail "$file was not installed"
done
version=$("$prefix/bin/batchcam" --version) || fail "the installed command does not run"
[ "$version" = "batchcam $(sed -n 's/^Version: //p' "$libdir/pkgconfig/batchcam.pc")" ] || fail "the command and batchcam.pc give different versions: $version"
[ "$(readlink "$libdir/libbatchcam.so")" = "libbatchcam.so.0" ] || fail "libbatchcam.so does not name its SOVERSION"

cd "$scratch/example"
flags=$(PKG_CONFIG_PATH=$libdir/pkgconfig pkg-config --cflags --libs batchcam)
# shellcheck disable=SC2086 # words
"${CC:-cc}" -std=c11 -Wall -Wextra -Werror explain.c $flags -o by_pkg_config
if command -v c++ >/dev/null; then # the header is for C++ programs too
    # shellcheck disable=SC2086
    echo '#include <batchcam.h>' | c++ -Wall -Wextra -Werror -fsyntax-only -x c++ - ${flags%%-L*}
fi

cmake -S . -B build -G Ninja -DCMAKE_PREFIX_PATH="$prefix" >"$scratch/log" || { cat "$scratch/log"; fail "find_package(batchcam) did not work"; }
cmake --build build >"$scratch/log" || { cat "$scratch/log"; fail "the example did not build through the CMake package"; }

LD_LIBRARY_PATH=$libdir ./by_pkg_config "$model" >one || fail "the example failed"
build/explain "$model" >two || fail "the example built through CMake failed"
cat one
cmp one two || fail "the two builds of the example say different things"
grep -qE '^the map is [0-9]+ x [0-9]+; its maximum .* stands at row [0-9]+, column [0-9]+$' one || fail "the example did not print a map"

! ./by_pkg_config nothere.onnx 2>/dev/null || fail "the example took a model that is not there"
echo "the installation works"
