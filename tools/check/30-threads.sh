#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ThreadSanitizer: the tests of what runs on several threads.
. tools/check/common.sh

stage "ThreadSanitizer"
folder=build/check/tsan
export TSAN_OPTIONS=halt_on_error=1
if [ ! -f /proc/self/personality ] || ! command -v setarch >/dev/null; then
  record skip "ThreadSanitizer: no setarch, to run without randomized addresses"
elif build "$folder" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O1 -DENTROLLM_SANITIZE=thread; then
  run_tests "$folder" --label tsan \
    --only '^(base_test_threads|model_test_(context|score)|convert_test_limits|eval_test_run)$'
fi
