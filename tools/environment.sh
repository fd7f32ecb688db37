#!/usr/bin/env bash
# Sets up a virtual environment with the packages of the given lists; says plainly what the machine lacks.
# Usage: tools/environment.sh PYTHON VENV LIST...
set -eu -o pipefail
python=$1 venv=$2
shift 2

lack() {
  printf 'missing: %s\n' "$1" >&2
  shift
  printf '%s\n' "$@" >&2
  exit 1
}

cargo --version >/dev/null 2>&1 || lack "Rust with cargo, at least $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)" \
  "  install it from https://rustup.rs or your distribution, and see that cargo is on PATH"
command -v cc >/dev/null || lack "a C linker (cc)" "  Debian: apt-get install gcc libc6-dev"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || lack "Python 3.11 or later" \
  "  Debian: apt-get install python3 python3-venv; or name another: make PYTHON=/path/to/python3"

version=$("$python" -c 'import sys; print(sys.version)')
if [ "$("$venv/bin/python" -c 'import pip, sys; print(sys.version)' 2>/dev/null)" != "$version" ]; then
  # Only ever what was an environment before.
  if [ -f "$venv/pyvenv.cfg" ]; then rm -rf "$venv"; fi
  "$python" -m venv "$venv" >/dev/null 2>&1 || {
    lack "Python's venv module" "  Debian: apt-get install python3-venv"
  }
fi
for list in "$@"; do
  # Beside the environment stands what it was last set up with.
  installed="$venv/$(basename "$list")"
  cmp --quiet "$list" "$installed" && continue
  echo "setting up Python packages of $list in $venv"
  "$venv/bin/python" -m pip install --quiet --require-virtualenv -r "$list"
  cp "$list" "$installed"
done
