#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the fuzz targets under AddressSanitizer and UndefinedBehaviorSanitizer, one after the other, and prints a table of
# executions. Needs clang with libFuzzer.
#   tools/fuzz.sh [-n EXECUTIONS] [-a] [-q] [-t SECONDS] [-j JOBS] [-s SEED] [TARGET...]
# -n: of each target (default 5,000,000); -a: those of earlier runs count; -t: at most so many seconds for each; -j: of the
# build alone; -s: libFuzzer's seed (default: drawn, and printed). -q: the program does not tell libFuzzer what it compares,
# so it runs twice as often in the same time but finds new inputs more slowly: for the number, after runs without it. What was found new is kept in build/fuzzing/new/TARGET, where the next run goes on, and
# build/fuzzing/counts adds up the executions of all runs. An input with a finding lies in build/fuzzing/findings.
# FUZZ_BUILT=FOLDER takes the programs in FOLDER/fuzz, and builds nothing. FUZZ_MINIMIZE=1 does not run the targets but
# writes the smallest corpus that covers as much as fuzz/corpus and what was found new, to build/fuzzing/least/TARGET.
set -eu
cd "$(dirname "$0")/.."
executions=5000000 seconds=0 jobs=$(nproc) seed=$((RANDOM * 32768 + RANDOM + 1)) in_all=0
kind=build flags="-O1 -g1"
while getopts n:aqt:j:s: option; do
  case $option in
    n) executions=$OPTARG ;; a) in_all=1 ;; q) kind=quick flags="-O2 -g1 -fno-sanitize-coverage=trace-cmp" ;; t) seconds=$OPTARG ;; j) jobs=$OPTARG ;; s) seed=$OPTARG ;;
    *) sed -n '5p' "$0" >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- $(ls fuzz/fuzz_*.c | sed 's|fuzz/fuzz_||; s|\.c$||')
build=${FUZZ_BUILT:-build/fuzzing/$kind} out=build/fuzzing
mkdir -p "$out/findings" "$out/logs"
touch "$out/counts"
make_targets() {
  cmake -S . -B "$build" -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$flags" -DENTROLLM_FUZZ=ON \
    -DENTROLLM_SANITIZE=address,undefined -DENTROLLM_TESTS=OFF &&
    cmake --build "$build" -j "$jobs" --target $(printf 'fuzz_%s ' "$@")
}
if [ -z "${FUZZ_BUILT:-}" ] && ! make_targets "$@" >"$out/logs/build" 2>&1; then
  tail -n 30 "$out/logs/build"
  exit 1
fi
# A target may not allocate more than a file of its size explains; leaks are looked for at the end of a run.
export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
failed=0
echo "seed $seed"
printf '%-15s %12s %9s %9s %7s %8s  %s\n' target executions seconds "a second" covered corpus findings
for target; do
  new=$out/new/$target log=$out/logs/$target options=()
  mkdir -p "$new"
  [ -f "fuzz/$target.dict" ] && options+=("-dict=fuzz/$target.dict")
  case $target in options) options+=(-close_fd_mask=3) ;; esac
  if [ -n "${FUZZ_MINIMIZE:-}" ]; then
    mkdir -p "$out/least/$target"
    "$build/fuzz/fuzz_$target" -merge=1 "${options[@]}" "$out/least/$target" "fuzz/corpus/$target" "$new" >"$log" 2>&1 || failed=1
    echo "$target: $(ls "$out/least/$target" | wc -l) inputs"
    continue
  fi
  runs=$executions
  if [ $in_all = 1 ]; then
    runs=$((executions - $(awk -v target="$target" '$1 == target {n += $2} END {print n + 0}' "$out/counts")))
    [ $runs -gt 0 ] || continue
  fi
  begin=$(date +%s)
  status=0
  "$build/fuzz/fuzz_$target" -runs="$runs" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=4096 \
    -malloc_limit_mb=2048 -seed="$seed" -print_final_stats=1 -artifact_prefix="$out/findings/$target-" "${options[@]}" \
    "$new" "fuzz/corpus/$target" >"$log" 2>&1 || status=$?
  took=$(($(date +%s) - begin))
  ran=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  covered=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -c6-)
  printf '%s %s\n' "$target" "${ran:-0}" >>"$out/counts"
  if [ $status = 0 ]; then finding=0; else
    finding="1: $log"
    failed=1
  fi
  printf '%-15s %12s %9s %9s %7s %8s  %s\n' "$target" "${ran:-?}" "$took" "$((${ran:-0} / (took > 0 ? took : 1)))" \
    "${covered:-?}" "$(ls "$new" | wc -l)" "$finding"
done
[ -n "${FUZZ_MINIMIZE:-}" ] || awk '{n[$1] += $2; all += $2} END {for (t in n) printf "%-15s %12d in all runs\n", t, n[t]
  printf "%-15s %12d\n", "together", all}' "$out/counts" | sort
exit $failed
