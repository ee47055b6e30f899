#!/bin/bash
# What do the foreign clients need, and is it here? Installs what is missing where it may (root on Debian),
# else names all that is missing and fails: a test that cannot run is an error, not a skip.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
venv="$root/.cache/venv"
node_modules_of="$root/.cache/node-packages.sum" # checksum of the lock file that node_modules was made from
venv_of="$venv/requirements.sum"
node_least=18 # of eventsource and playwright-core, package.json `engines`

have() {
    case $1 in
    nc) nc -h 2>&1 | grep -q OpenBSD ;; # the traditional one has no -N
    nginx) [ -x /usr/sbin/nginx ] || command -v nginx ;;
    python-venv) python3 -c 'import ensurepip, venv' ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

package_of() {
    case $1 in
    nc) echo netcat-openbsd ;;
    nginx) echo nginx-light ;;
    node) echo nodejs ;;
    python-venv) echo python3-venv ;;
    *) echo "$1" ;;
    esac
}

missing() {
    for tool in chromium nginx nc curl node npm python3 python-venv slowhttptest strace valgrind; do
        have $tool || echo $tool
    done
}

packages=()
for tool in $(missing); do packages+=("$(package_of "$tool")"); done
if [ ${#packages[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"; } </dev/null >/dev/null ||
        echo "apt-get could not install ${packages[*]}" >&2
fi
still=$(missing | tr '\n' ' ')
if [ -n "$still" ]; then
    echo "error: the tests need ${still% }, which is not here and could not be installed." >&2
    echo "       Debian: apt-get install $(for tool in $still; do package_of "$tool"; done | tr '\n' ' ')" >&2
    exit 1
fi
if ! unshare -rm mount -t tmpfs sosik-test "$root/tests" 2>/dev/null; then
    echo "error: the tests fill a small disk: they need the right to mount one in a namespace of their own" >&2
    echo "       (unshare -rm mount -t tmpfs ...). Run them as root, or allow unprivileged user namespaces." >&2
    exit 1
fi
if [ "$(id -u)" != 0 ] && [ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)" != 0 ]; then
    echo "error: the tests attach strace to a running server: run them as root, or set kernel.yama.ptrace_scope=0." >&2
    exit 1
fi
if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt $node_least ]; then
    echo "error: the tests need node $node_least or later; this is $(node --version)." >&2
    exit 1
fi

mkdir -p "$root/.cache"
sum=$(sha256sum package-lock.json)
if [ ! -d node_modules ] || [ "$(cat "$node_modules_of" 2>/dev/null)" != "$sum" ]; then
    npm ci --no-progress --loglevel=error </dev/null
    echo "$sum" >"$node_modules_of"
fi

sum=$(sha256sum requirements.txt)
if [ "$(cat "$venv_of" 2>/dev/null)" != "$sum" ]; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt </dev/null
    echo "$sum" >"$venv_of"
fi
