#!/usr/bin/env bash
# Runs tests of the Python package with another Python: those in which Pythons differ. Left out are the tests of servers, tables and
# files, which take long, need what only the main environment has, or are about the repository; the main Python runs them all.
# Usage: tools/test_with.sh PYTHON CACHE WHEELS
set -eu -o pipefail
python=$1 cache=$2 wheels=$3
left_out=(
  surroundings
  adapters/test_aws_lambda.py adapters/test_background_servers.py adapters/test_lengths.py adapters/test_mounts.py
  adapters/test_servers.py adapters/test_table.py
  test_beside_sdk.py test_deploy.py test_dist.py test_docs.py test_examples.py test_frozen.py test_layers.py test_properties.py
  test_public_names.py test_pythons.py test_seed.py test_templates.py
)

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
venv="$cache/venv-$version"
tools/environment.sh "$python" "$venv" requirements/run.txt requirements/test.txt || {
  # A Python that is new may lack packages.
  printf 'not tested with Python %s: what the tests need cannot be installed\n' "$version" >&2
  if [ -n "${PYLON_DEMAND_PROGRAMS:-}" ]; then exit 1; fi
  exit 0
}
"$venv/bin/python" -m pip install --quiet --require-virtualenv --no-deps --force-reinstall "$wheels"/pylon_webhooks-*.whl
echo "testing with Python $version"
"$venv/bin/python" -m pytest -p no:cacheprovider tests "${left_out[@]/#/--ignore=tests/}"
