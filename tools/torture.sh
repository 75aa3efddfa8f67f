#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Lets every call of the system fail, one after the other, in all operations, under AddressSanitizer and
# UndefinedBehaviorSanitizer; kills the program and cuts power at each change of the disk, and kills it at 500 random
# moments of each operation that writes a result. Takes hours; prints tables of counts. Options go to
# tests/faults/torture.py: tools/torture.sh --only '^decompress' --groups write,disk
# TORTURE_BUILD=FOLDER takes a build that is there already.
set -eu
cd "$(dirname "$0")/.."
folder=${TORTURE_BUILD:-}
if [ -z "$folder" ]; then
  folder=build/torture
  cmake -S . -B "$folder" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O1 -DENTROLLM_SANITIZE=address,undefined >/dev/null
  cmake --build "$folder" -j "$(nproc)" --target entrollm_faults >/dev/null
fi
exec python3 tests/faults/torture.py "$folder/tests/entrollm-faults" --kills 500 "$@"
