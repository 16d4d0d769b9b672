#!/bin/sh
# Makes sure that a C compiler and cmake are there: zlib-ng, zstd and ring build C code.
# Installs them where it may, saying what; otherwise prints the one command to run, and fails.
set -eu

say() { printf '%s\n' "$*" >&2; }

if ! command -v cargo >/dev/null 2>&1; then
    say "portway: cargo is missing. Install a Rust toolchain (https://rustup.rs), then run this again."
    exit 1
fi

packages=""
command -v cc >/dev/null 2>&1 || packages="$packages build-essential"
command -v cmake >/dev/null 2>&1 || packages="$packages cmake"
[ -n "$packages" ] || exit 0

install_with() {
    say "portway: installing$packages"
    for pause in 5 20 60; do
        install_once "$@" && return
        say "portway: that failed; again in $pause s"
        sleep "$pause"
    done
    install_once "$@"
}

# One index of several that cannot be read is no fault, as long as the packages are found; whoever else installs
# at the moment is waited for.
# shellcheck disable=SC2086 # the list is meant to split into words
install_once() {
    "$@" apt-get -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300 update -qq || :
    "$@" env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300 \
        install -y -qq --no-install-recommends $packages
}

if command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" -eq 0 ]; then
        install_with env
        exit 0
    fi
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        install_with sudo -n
        exit 0
    fi
    say "portway: the build needs$packages. Run:"
    say "    sudo apt-get update && sudo apt-get install -y --no-install-recommends$packages"
    exit 1
fi

say "portway: the build needs a C compiler and cmake; install them with this system's package manager."
exit 1
