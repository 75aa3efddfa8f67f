#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ThreadSanitizer over the pool of threads, the scheduler of sequences and the server, longer than tools/check/30-threads.sh:
#   tools/thread_sanitizer.sh [FURTHER_SCRIPT...]
set -eu
cd "$(dirname "$0")/.."
# THREAD_BUILT=FOLDER takes what was built there.
build=${THREAD_BUILT:-build/check/tsan} output=$(mktemp)
make_all() {
  mkdir -p "$build"
  cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O1 -DENTROLLM_SANITIZE=thread &&
    cmake --build "$build" -j "$(nproc)" --target base_test_threads generate_test_generator serve_test_job entrollm
}
if [ -z "${THREAD_BUILT:-}" ] && ! make_all >"$output" 2>&1; then
  tail -n 30 "$output"
  exit 1
fi
export TSAN_OPTIONS=halt_on_error=1:exitcode=66 BUILD_DIR=$build
failed=0
run() {
  local begin=$SECONDS
  if setarch -R "$@" >"$output" 2>&1 && ! grep -q 'WARNING: ThreadSanitizer' "$output"; then
    echo "ok      $* ($((SECONDS - begin)) s)"
  else
    grep -A 30 -E 'ThreadSanitizer|^not ok' "$output" | head -n 60
    echo "FAILED  $*"
    failed=1
  fi
}
for test in base_test_threads serve_test_job generate_test_generator; do run "$build/tests/$test"; done
for script in tests/serve/test_openai.py tests/serve/test_bad_requests.py tests/serve/test_tools.py "$@"; do
  run python3 "$script"
done
exit $failed
