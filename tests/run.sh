#!/usr/bin/env bash
# Installs what is missing, builds, and runs the tests.
#
#   ./tests/run.sh                 every test that needs at most this machine's CPU and twenty minutes
#   ./tests/run.sh -L null         tests without a device, under a minute; arguments are those of ctest
#
# QN_TEST_DATA names the folder of test data; tests that need it say so when they are skipped.
# Written for Debian 12; Ubuntu 24.04 is scripted too, but untested.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8
build=${QN_BUILD_DIR:-build}

./examples/packages.sh libcmocka-dev python3 oclgrind mesa-opencl-icd clang-15 libclc-15 intel-opencl-icd

cmake -S . -B "$build" -DQN_TESTS=ON >/dev/null
cmake --build "$build" -j "$(nproc)"

# Longer runs (-L long, -L nightly), peers from PyPI (-L interop) and other hardware are asked for by label.
[ $# -gt 0 ] || set -- -LE 'long|nightly|interop|gpu|mpi'
exec ctest --test-dir "$build" --output-on-failure -j "$(nproc)" "$@"
