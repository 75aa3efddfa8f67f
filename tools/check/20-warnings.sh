#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No warnings: of gcc for the library and the program, of clang for everything. The tests run as clang built them.
. tools/check/common.sh

stage "Warnings of the default compiler"
if build build/check/werror -DCMAKE_C_FLAGS=-Werror -DENTROLLM_TESTS=OFF; then
  record pass "no warning of $(cc --version | head -n 1)"
fi

stage "clang"
if ! command -v clang >/dev/null; then
  record skip "clang is not installed"
elif build build/check/clang -DCMAKE_C_COMPILER=clang -DCMAKE_C_FLAGS=-Werror -DENTROLLM_FUZZ=ON; then
  record pass "no warning of $(clang --version | head -n 1)"
  run_tests build/check/clang --label clang
fi
