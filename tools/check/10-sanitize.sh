#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All tests and all fuzz inputs, built with AddressSanitizer and UndefinedBehaviorSanitizer.
. tools/check/common.sh

stage "AddressSanitizer and UndefinedBehaviorSanitizer"
folder=build/check/sanitize
# -O1: with the sanitizers, compiling the kernels with -O3 takes longer than the tests.
build "$folder" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O1 -DENTROLLM_SANITIZE=address,undefined \
  -DENTROLLM_FUZZ=ON || exit 0
# Two that compute for minutes what others compute too are left out.
run_tests "$folder" --label sanitized --only '^(?!model_test_same_logits|eval_test_golden_perplexity)'
# The program itself: its speed and the memory it takes are not those of the ordinary build.
run_tests "$folder" --label sanitized --scripts-only --only '^(cli/test_(usage|main_job|signals)|hub/test_pull|serve/test_(tools|bad_requests)|faults/test_torture)'

stage "Fuzz inputs under the sanitizers"
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
for source in fuzz/fuzz_*.c; do
  target=$(basename "$source" .c)
  corpus=fuzz/corpus/${target#fuzz_}
  if [ ! -d "$corpus" ]; then
    record fail "$target: $corpus is missing"
  elif timeout 300 "$folder/fuzz/$target" "$corpus" >"$folder/$target.log" 2>&1; then
    record pass "$target: $(find "$corpus" -type f | wc -l) inputs"
  else
    tail -n 40 "$folder/$target.log"
    record fail "$target: an input of $corpus fails (whole output: $folder/$target.log)"
  fi
done
