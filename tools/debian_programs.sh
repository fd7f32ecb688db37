#!/usr/bin/env bash
# Unpacks packages of Debian, with those they depend on and the machine lacks, into a folder: without root, and without starting
# what they would start. A package that the machine has installed is left to it. What cannot be had is said in one line, and the
# tests that need it are skipped; with PYLON_DEMAND_PROGRAMS set, that is an error.
# Usage: tools/debian_programs.sh FOLDER PACKAGE...
set -eu -o pipefail
folder=$1
shift

lack() {
  printf 'not tested with %s: %s\n' "$1" "$2" >&2
  if [ -n "${PYLON_DEMAND_PROGRAMS:-}" ]; then exit 1; fi
  exit 0
}

missing=()
for package in "$@"; do
  # Version and state, so that a package whose removal left its settings behind counts as missing.
  dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep --quiet --line-regexp installed || missing+=("$package")
done
if [ "${#missing[@]}" = 0 ]; then exit 0; fi
list="${missing[*]}"
if [ "$(cat "$folder/unpacked" 2>/dev/null)" = "$list" ]; then exit 0; fi
command -v apt-get >/dev/null || lack "$list" "there is no apt-get here; install them by other means to test with them"

echo "fetching Debian's packages $list into $folder"
rm -rf "$folder"
mkdir -p "$folder/state/lists/partial" "$folder/cache/archives/partial" "$folder/root"
apt=(apt-get --quiet=2 -o "Dir::State=$folder/state" -o Dir::State::status=/var/lib/dpkg/status -o "Dir::Cache=$folder/cache"
  -o Debug::NoLocking=true -o "APT::Sandbox::User=$(id --user --name)")
{ "${apt[@]}" update && "${apt[@]}" install --yes --no-install-recommends --download-only "${missing[@]}"; } >"$folder/log" 2>&1 ||
  lack "$list" "Debian's packages cannot be fetched ($(tail -1 "$folder/log")); as root: apt-get install $list"
for package in "$folder"/cache/archives/*.deb; do
  dpkg-deb --extract "$package" "$folder/root"
done
rm -rf "$folder/state" "$folder/cache"
printf '%s\n' "$list" >"$folder/unpacked"
