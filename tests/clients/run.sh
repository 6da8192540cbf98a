#!/usr/bin/env bash
# Runs clients that others wrote for Binance, unmodified, from PyPI, against `ringfence exchange` on loopback.
#
#     tests/clients/run.sh [scenario …]
#
# RINGFENCE_BIN     the binary; without it cargo builds one
# CLIENTS_VENV      where the clients are installed, once for each set of versions; default target/clients-venv
# PYTHON            the interpreter for it, 3.11 or newer; default python3
#
# Where the clients cannot be installed (no Python, no PyPI) the run is skipped, visibly; with CI=true that is a failure.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"

skip() {
    echo "skipped: tests/clients: $1" >&2
    if [ -n "${RINGFENCE_SKIP_LOG:-}" ]; then echo "skipped: tests/clients: $1" >>"$RINGFENCE_SKIP_LOG"; fi
    if [ "${CI:-}" = true ]; then
        echo "expected the clients to run in CI, found them skipped" >&2
        exit 1
    fi
    exit 0
}

install() {
    local package
    rm -rf "$venv"
    "$python" -m venv "$venv" >/dev/null || skip "$python cannot make a virtual environment (Debian: python3-venv)"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" || skip "PyPI cannot be reached, or lacks a pinned version"
    while read -r package; do
        "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$venv/apart/${package%%==*}" "$package" || skip "PyPI cannot be reached, or lacks $package"
    done < <(grep -v '^#' "$here/requirements-apart.txt")
    echo "$versions" >"$venv/installed"
}

python="${PYTHON:-python3}"
venv="${CLIENTS_VENV:-${CARGO_TARGET_DIR:-$root/target}/clients-venv}"
versions="$(cat "$here/requirements.txt" "$here/requirements-apart.txt" | sha256sum)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || skip "expected Python 3.11 or newer as $python, found none"
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$versions" ]; then install; fi

if [ -z "${RINGFENCE_BIN:-}" ]; then
    (cd "$root" && cargo build --locked --quiet --bin ringfence)
    RINGFENCE_BIN="${CARGO_TARGET_DIR:-$root/target}/debug/ringfence"
fi
exec "$venv/bin/python" "$here/run.py" "$RINGFENCE_BIN" "$venv/bin/python" "$venv/apart" "$@"
