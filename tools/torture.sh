#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Lets the calls of the system fail, one after the other, in all operations, under AddressSanitizer and
# UndefinedBehaviorSanitizer; kills the program and cuts power at each change of the disk, and kills it at 500 random
# moments of each operation that writes a result. Prints a table of counts. Of calls that the program comes to by the
# same way over and over only some fail (--places in tests/faults/torture.py); with --every first all do, which takes
# five times as long. Other options go to tests/faults/torture.py:
#   tools/torture.sh --only '^decompress' --groups write,disk
#   tools/torture.sh --record FILE       goes on from FILE where an earlier call was ended
# TORTURE_BUILD=FOLDER takes a build that is there already.
set -eu
cd "$(dirname "$0")/.."
folder=${TORTURE_BUILD:-} choice=()
if [ -z "$folder" ]; then
  folder=build/torture
  # clang compiles the kernels with these sanitizers in a twentieth of the time that gcc 12 takes
  if command -v clang >/dev/null; then choice=(-DCMAKE_C_COMPILER=clang); fi
  cmake -S . -B "$folder" "${choice[@]}" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O1 -DENTROLLM_SANITIZE=address,undefined \
    >/dev/null
  cmake --build "$folder" -j "$(nproc)" --target entrollm_faults >/dev/null
fi
which=(--places)
if [ "${1:-}" = --every ]; then
  which=()
  shift
fi
exec python3 tests/faults/torture.py "$folder/tests/entrollm-faults" --kills 500 "${which[@]}" "$@"
