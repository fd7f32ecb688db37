#!/usr/bin/env bash
# Builds the wheel and installs it, nothing editable. Users get the profile `release`; `dev` is built in a tenth of the time.
# Usage: tools/wheel.sh BIN WHEELS PROFILE
set -eu -o pipefail
bin=$1 wheels=$2 profile=$3
mkdir -p "$wheels"
rm -f "$wheels"/pylon_webhooks-*.whl
# maturin reports on its standard error even when all is well.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$bin/maturin" build --profile "$profile" --locked --interpreter "$bin/python" --out "$wheels" 2>"$log" || {
  cat "$log" >&2
  exit 1
}
"$bin/python" -m pip install --quiet --require-virtualenv --no-deps --force-reinstall "$wheels"/pylon_webhooks-*.whl
