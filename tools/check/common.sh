# SPDX-License-Identifier: Apache-2.0
# What ./check and its stages (tools/check/NN-name.sh, run in the project's root
# by bash) share. A stage starts with `. tools/check/common.sh`, and uses
#   stage TEXT                        a headline
#   build FOLDER [CMAKE ARGUMENT...]  configure and build; a failure is recorded
#   run_tests FOLDER [OPTION...]      run the tests built there (tools/check/run_tests.py)
#   record pass|fail|skip NAME        one test case of its own
# Builds of stages belong below build/check.
set -u
export CHECK_RESULTS="$PWD/build/check/results.tsv" # result, count, name
jobs=$(nproc)
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)

stage() { printf '\n== %s\n' "$*"; }

record() {
  printf '%s\t1\t%s\n' "$1" "$2" >>"$CHECK_RESULTS"
  case "$1" in fail) echo "FAILED  $2" ;; skip) echo "skipped $2" ;; *) echo "ok      $2" ;; esac
}

build() {
  local folder=$1 log cache=$1/CMakeCache.txt choice=("${generator[@]}")
  shift
  # a folder that was moved or copied: CMake would refuse it
  if [ -f "$cache" ] && [ ! "$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$cache")" -ef . ]; then rm -f "$cache"; fi
  [ -f "$cache" ] && choice=() # keep the generator that the folder has
  mkdir -p "$folder"
  log=$folder/check.log
  if cmake -S . -B "$folder" "${choice[@]}" "$@" >"$log" 2>&1 && cmake --build "$folder" -j "$jobs" >>"$log" 2>&1; then
    return 0
  fi
  grep -E -A 5 'error|Error|FAILED|undefined reference' "$log" | head -n 60
  record fail "building $folder (whole output: $log)"
  return 1
}

run_tests() { python3 tools/check/run_tests.py "$@"; }
