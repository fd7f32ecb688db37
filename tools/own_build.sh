#!/usr/bin/env bash
# Clones share what cargo has built of the dependencies. Of this project's own crates cargo takes what another clone has built
# for fresh when that is newer than the files here, so that is forgotten whenever another clone was the last to build.
# Usage: tools/own_build.sh CACHE
set -eu -o pipefail
cache=$1
last="$cache/last-clone"
if [ "$(cat "$last" 2>/dev/null)" != "$PWD" ]; then
  mkdir -p "$cache"
  find "$cache" -type d -path '*/.fingerprint/*' \( -name 'pylon-webhooks*' -o -name 'pylon-receiver*' -o -name 'documented*' \) -prune -exec rm -rf {} +
  printf '%s\n' "$PWD" >"$last"
fi
