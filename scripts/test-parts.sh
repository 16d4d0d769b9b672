#!/usr/bin/env bash
# Installs the real programs that the black-box and browser tests drive: nginx, HAProxy, wrk, h2load, slowhttptest,
# curl, openssl, systemd, Chromium, Node.js, faketime, playwright-core, axe-core and oidc-provider in ./node_modules,
# and grpcio in ./.venv.
# No service is started by it.
# Where it may not install, it says what is missing and goes on; with CI=true that is a failure,
# because tests without their parts are counted as skipped and a green run would prove too little.
set -euo pipefail
cd "$(dirname "$0")/.."

playwright_version=1.65.1
axe_version=4.14.1
oidc_version=9.13.3
grpcio_version=1.84.0
policy=/usr/sbin/policy-rc.d
# Whoever else installs at the moment is waited for.
apt_options=(-o Acquire::Retries=5 -o DPkg::Lock::Timeout=300)

say() { printf '%s\n' "$*" >&2; }

# Mirrors and registries fail now and then: up to five tries, with longer and longer pauses.
retry() {
    local pause
    for pause in 5 10 20 40; do
        "$@" && return
        say "portway: that failed; again in $pause s"
        sleep "$pause"
    done
    "$@"
}

missing_packages() {
    command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || echo nginx-light
    command -v wrk >/dev/null 2>&1 || echo wrk
    command -v h2load >/dev/null 2>&1 && command -v nghttp >/dev/null 2>&1 || echo nghttp2-client
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || echo python3-venv
    command -v curl >/dev/null 2>&1 || echo curl
    command -v openssl >/dev/null 2>&1 || echo openssl
    command -v chromium >/dev/null 2>&1 || echo chromium
    command -v node >/dev/null 2>&1 || echo nodejs
    command -v npm >/dev/null 2>&1 || echo npm
    command -v faketime >/dev/null 2>&1 || echo faketime
    command -v systemd-socket-activate >/dev/null 2>&1 && [ -x /usr/lib/systemd/systemd ] || echo systemd
    command -v slowhttptest >/dev/null 2>&1 || echo slowhttptest
    command -v haproxy >/dev/null 2>&1 || [ -x /usr/sbin/haproxy ] || echo haproxy
}

# Debian starts a service as soon as its package is there, unless this file answers 101.
guard_services() {
    [ ! -e "$policy" ] || return 0
    printf '#!/bin/sh\nexit 101\n' | "$@" tee "$policy" >/dev/null
    "$@" chmod 755 "$policy"
    # shellcheck disable=SC2064 # the command is meant to be fixed here
    trap "$* rm -f $policy" EXIT
}

install_packages() {
    local as=()
    [ "$1" = root ] || as=(sudo -n)
    say "portway: installing for the tests: ${packages[*]}"
    guard_services "${as[@]+"${as[@]}"}" env
    retry install_once "${as[@]+"${as[@]}"}" >/dev/null
}

# One index of several that cannot be read is no fault, as long as the packages are found.
install_once() {
    "$@" apt-get "${apt_options[@]}" update -qq || say "portway: the lists of packages were not all read"
    "$@" env DEBIAN_FRONTEND=noninteractive \
        apt-get "${apt_options[@]}" install -y -qq --no-install-recommends "${packages[@]}"
}

give_up() {
    say "portway: the tests want $*. Run:"
    say "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
    if [ "${CI:-}" = true ]; then exit 1; fi
    say "portway: going on without; the tests that need them say so."
}

mapfile -t packages < <(missing_packages)
if [ "${#packages[@]}" -gt 0 ]; then
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ]; then
        install_packages root
    elif command -v apt-get >/dev/null 2>&1 && command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        install_packages sudo
    else
        give_up "${packages[@]}"
    fi
fi

# One of the parts that npm has: its name and version. All are installed together, or npm would remove the
# others.
version_of() { sed -n 's/^ *"version": *"\([^"]*\)".*/\1/p' "node_modules/$1/package.json" 2>/dev/null | head -n 1; }

if [ "$(version_of playwright-core)" != "$playwright_version" ] || [ "$(version_of axe-core)" != "$axe_version" ] ||
    [ "$(version_of oidc-provider)" != "$oidc_version" ]; then
    if command -v npm >/dev/null 2>&1; then
        say "portway: installing playwright-core $playwright_version, axe-core $axe_version and oidc-provider $oidc_version into ./node_modules"
        if ! retry npm install --prefix . --no-save --no-package-lock --no-audit --no-fund --loglevel=error \
            --fetch-retries=5 --fetch-retry-maxtimeout=60000 "playwright-core@$playwright_version" "axe-core@$axe_version" "oidc-provider@$oidc_version" >/dev/null; then
            say "portway: they could not be installed"
            if [ "${CI:-}" = true ]; then exit 1; fi
        fi
    fi
fi

# A real client and a real server of gRPC, for whoever runs the tests alone.
if [ "$(.venv/bin/python3 -c 'import grpc; print(grpc.__version__)' 2>/dev/null)" != "$grpcio_version" ]; then
    if python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
        say "portway: installing grpcio $grpcio_version into ./.venv"
        # Anew, for what a broken try left may not work.
        if ! { python3 -m venv --clear .venv && retry .venv/bin/python3 -m pip install --quiet \
            --disable-pip-version-check --retries 10 --timeout 60 --only-binary :all: \
            "grpcio==$grpcio_version"; } >/dev/null; then
            say "portway: it could not be installed"
            if [ "${CI:-}" = true ]; then exit 1; fi
        fi
    fi
fi
