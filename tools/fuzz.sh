#!/usr/bin/env bash
# Runs each fuzz target for a while, from the seed corpus on; new finds stay in fuzz/artifacts.
# Usage: tools/fuzz.sh CACHE SECONDS
set -eu -o pipefail
cache=$1 seconds=$2
if ! command -v "$cache/cargo/bin/cargo-fuzz" >/dev/null; then
  echo "setting up cargo-fuzz in $cache/cargo"
  cargo install --quiet --locked --root "$cache/cargo" cargo-fuzz
fi
for target in headers event differential; do
  found="$cache/fuzz-corpus/$target"
  mkdir -p "$found"
  # libFuzzer wants flags that rustc keeps for nightly compilers; the toolchain is the stable one all the same.
  RUSTC_BOOTSTRAP=1 PATH="$cache/cargo/bin:$PATH" CARGO_TARGET_DIR="$cache/target-fuzz" \
    cargo fuzz run "$target" "$found" "fuzz/corpus/$target" -- -max_total_time="$seconds" -verbosity=0 -print_final_stats=1
done
