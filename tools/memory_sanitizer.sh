#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# MemorySanitizer: does what decodes blocks and reads files use bytes that nobody wrote? The tests of coder and block
# decoders, and the corpora of the fuzz targets that read memory and call no other library: of what those write
# (jansson, PCRE2), and of stat in newer C libraries, it does not know. xxHash is compiled in. Needs clang; takes minutes.
set -eu
cd "$(dirname "$0")/.."
build=${MEMORY_BUILD:-build/memory}
tests=(coder_test_blocks coder_test_patches kernels_test_decode kernels_test_patches kernels_test_exact)
fuzz=(block container prompt_cache)
[ $# -eq 0 ] || fuzz=("$@")
mkdir -p "$build"
cmake -S . -B "$build" -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="-O1 -g1 -DXXH_INLINE_ALL" \
  -DENTROLLM_FUZZ=ON -DENTROLLM_SANITIZE=memory -DENTROLLM_PROGRAM=OFF >"$build.log" 2>&1 &&
  cmake --build "$build" -j "$(nproc)" --target "${tests[@]}" "${fuzz[@]/#/fuzz_}" >>"$build.log" 2>&1 ||
  { tail -n 30 "$build.log"; exit 1; }
failed=0
run() {
  if "$@" >"$build/output" 2>&1; then echo "ok      ${*/#$build\//}"; else
    tail -n 40 "$build/output"
    echo "FAILED  $*"
    failed=1
  fi
}
for test in "${tests[@]}"; do run "$build/tests/$test"; done
for target in "${fuzz[@]}"; do run "$build/fuzz/fuzz_$target" -runs=0 "fuzz/corpus/$target"; done
exit $failed
