#!/bin/sh
# Installs the Debian packages that building, testing or linting needs; nothing twice.
#   scripts/setup.sh build|test|lint|tsan|peers ...
set -eu

build="gcc libc6-dev cmake ninja-build pkg-config libdnnl-dev libjpeg62-turbo-dev libpng-dev libsqlite3-dev libcjson-dev libexif-dev nettle-dev libarchive-dev"
test="libcriterion-dev libonnx-testdata binutils clang libclang-rt-14-dev python3 python3-numpy python3-pil"
lint="clang-format clang-tidy shellcheck"
tsan="clang libclang-rt-14-dev libomp-dev"
peers="python3-venv python3-dev g++"

packages=
for what in "$@"; do
    case $what in
        build) packages="$packages $build" ;;
        test) packages="$packages $test" ;;
        lint) packages="$packages $lint" ;;
        tsan) packages="$packages $tsan" ;;
        peers) packages="$packages $peers" ;;
        *) echo "setup: '$what' is not one of build, test, lint, tsan, peers" >&2; exit 2 ;;
    esac
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "setup: this system has no apt-get, so nothing is installed; on Debian 12 these packages are needed:$packages" >&2
    exit 0
fi

missing=
for package in $packages; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

# Runs a command as root: by being root, or through sudo (which may ask for a password only where somebody is there to type it).
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}
if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
    echo "setup: these packages are missing, and only root can install them (there is no sudo here):$missing" >&2
    exit 1
fi

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}
echo "setup: installing$missing"
# shellcheck disable=SC2086 # a list of words
if ! apt_get update || ! apt_get install --no-install-recommends $missing; then
    echo "setup: apt-get could not install$missing" >&2
    exit 1
fi
