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
  # Left out: what computes for long, and does not come to other results by another compiler.
  run_tests build/check/clang --label clang \
    --only '^(?!model_test_out_of_memory|eval_test_golden_perplexity|convert_test_any_size|generate_test_grammar_answers)'
fi
