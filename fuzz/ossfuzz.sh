#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the fuzz targets as OSS-Fuzz wants it: with $CC, $CXX, their flags and $LIB_FUZZING_ENGINE, into $OUT, with seeds
# and dictionaries beside them. Its image needs cmake, pkg-config and what tools/install_packages.sh names; the libraries
# are copied to $OUT/lib, as the machines that run the targets have none. To try it:
#   CC=clang CXX=clang++ CFLAGS='-O1 -fsanitize=address,fuzzer-no-link' CXXFLAGS=$CFLAGS \
#     LIB_FUZZING_ENGINE=-fsanitize=fuzzer OUT=/tmp/out fuzz/ossfuzz.sh
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
work=${WORK:-$(mktemp -d)}
mkdir -p "$OUT/lib"
cmake -S "$source" -B "$work/entrollm" -DCMAKE_BUILD_TYPE=None -DENTROLLM_FUZZ=ON -DENTROLLM_TESTS=OFF -DENTROLLM_PROGRAM=OFF \
  -DENTROLLM_FUZZ_ENGINE="$LIB_FUZZING_ENGINE" -DCMAKE_BUILD_RPATH='$ORIGIN/lib'
targets=()
for file in "$source"/fuzz/fuzz_*.c; do
  name=$(basename "$file" .c)
  targets+=("$name")
done
cmake --build "$work/entrollm" -j "$(nproc)" --target "${targets[@]}"
for name in "${targets[@]}"; do
  cp "$work/entrollm/fuzz/$name" "$OUT/"
  (cd "$source/fuzz/corpus/${name#fuzz_}" && python3 -c 'import shutil, sys; shutil.make_archive(sys.argv[1], "zip")' \
    "$OUT/${name}_seed_corpus")
  if [ -f "$source/fuzz/${name#fuzz_}.dict" ]; then cp "$source/fuzz/${name#fuzz_}.dict" "$OUT/$name.dict"; fi
done
for library in $(ldd "$OUT"/fuzz_* | grep -oE '/[^ ]*/lib(jansson|pcre2-8|utf8proc|xxhash)\.so[^ ]*' | sort -u); do
  cp -L "$library" "$OUT/lib/"
done
printf '[libfuzzer]\nclose_fd_mask=3\n' >"$OUT/fuzz_options.options"
cp -R "$source/models/stories-4m" "$OUT/" # fuzz_request looks for it beside itself
