# shellcheck shell=bash
# What the scripts of this folder share beside deploy/local/lib.sh: a Rust compiler, and the Python tools.
# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/local/lib.sh"
# shellcheck source=deploy/local/packages.sh
. "$HERE/packages.sh"
cd "$ROOT"

# A login shell is not given everywhere (make, CI), so cargo's usual place is looked at too.
ensure_rust() {
  if ! command -v cargo >/dev/null && [ -x "${HOME:-}/.cargo/bin/cargo" ]; then PATH=$HOME/.cargo/bin:$PATH; fi
  command -v cargo >/dev/null ||
    die "cargo is missing: install Rust 1.95 or later (https://rustup.rs); the distribution's own is too old"
  command -v cc >/dev/null || install_packages gcc libc6-dev || die "a C compiler is missing: install gcc"
}

# The chart engine and buf come from PyPI into .local/venv, so nothing of the system changes. Their versions are pinned
# in deploy/requirements.txt.
VENV=$LOCAL/venv
ensure_venv() {
  local python
  if cmp -s deploy/requirements.txt "$VENV/requirements.txt"; then return; fi
  say "installing buf and the chart tools into ${VENV#"$ROOT/"}"
  rm -rf "$VENV"
  python=$(command -v python3 || true)
  { [ -n "$python" ] && "$python" -m venv "$VENV" >/dev/null 2>&1; } || {
    install_packages python3-venv || die "python3 with venv is missing"
    rm -rf "$VENV"
    python3 -m venv "$VENV"
  }
  "$VENV/bin/pip" install --quiet --disable-pip-version-check -r deploy/requirements.txt
  cp deploy/requirements.txt "$VENV/requirements.txt"
}

target_dir() { echo "${CARGO_TARGET_DIR:-$ROOT/target}"; }
