#!/usr/bin/env bash
# Fetches axe-core, which finds what some people cannot use on a page, from its npm package. What cannot be had is said in one line, and
# the test that needs it is skipped.
# Usage: tools/axe.sh FILE
set -eu -o pipefail
version=4.14.1
file=$1
if [ "$(cat "$file.version" 2>/dev/null)" = "$version" ]; then exit 0; fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if ! command -v npm >/dev/null; then
  echo "not tested with axe-core: there is no npm here" >&2
elif ! (cd "$folder" && npm pack --silent "axe-core@$version" && tar -xzf ./*.tgz package/axe.min.js) >"$folder/log" 2>&1; then
  printf 'not tested with axe-core: its package cannot be fetched (%s)\n' "$(tail -1 "$folder/log")" >&2
else
  mkdir -p "$(dirname "$file")"
  mv "$folder/package/axe.min.js" "$file"
  echo "$version" >"$file.version"
fi
