#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Instruction sets that the machine at hand may lack, and the absence of those it must not use:
#   - the AVX-512 kernels compiled by way of SIMDe, on an emulated processor without AVX-512;
#   - base, coder and kernels cross-built for 64-bit Arm, run under qemu;
#   - the ordinary x86-64 build on emulated old processors: one without AVX, one with AVX2;
#   - the whole program on the one without AVX: the same file, the same text.
# What is not installed is skipped by name. Builds in a temporary folder.
. tools/check/common.sh

stage "Instruction sets"
work=$(mktemp -d "${TMPDIR:-/tmp}/entrollm-isa.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
root=$PWD

# report NAME LOG STATUS
report() {
  if [ "$3" -eq 0 ]; then
    record pass "isa: $1"
  else
    sed 's/^/    | /' "$2"
    record fail "isa: $1"
  fi
}
skip() { record skip "isa: $1 ($2)"; }
have() { command -v "$1" >/dev/null 2>&1; }

# build_kernels FOLDER CMAKE_ARGUMENT...: the libraries of base, coder and kernels, which need nothing but libc.
build_kernels() {
  local folder=$1
  shift
  { cmake -S "$root" -B "$folder" -DENTROLLM_TESTS=OFF -DPKG_CONFIG_EXECUTABLE=/bin/false "$@" &&
    cmake --build "$folder" -j "$jobs" --target entrollm_base entrollm_coder entrollm_kernels; } >"$folder.log" 2>&1
}

# run_linked NAME FOLDER COMPILER DEFINE LAYERS RUNNER...: link the test programs of the layers (separated by
# blanks) statically, with the stand-in for cmocka, and run each by the runner.
run_linked() {
  local name=$1 folder=$2 compiler=$3 define=$4 layers=$5
  shift 5
  local layer source program status
  for layer in $layers; do
    for source in "$root"/tests/"$layer"/test_*.c; do
      [ -e "$source" ] || continue
      program=$folder/${layer}_$(basename "$source" .c)
      if [ ! -x "$program" ]; then
        "$compiler" -std=c11 -O2 -ffp-contract=off -static "-D$define" -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE \
          -D_FILE_OFFSET_BITS=64 "-DENTROLLM_SOURCE_DIR=\"$root\"" -I "$root/tests/standin" -I "$root/src" \
          -I "$root/include" -I "$root/tests" "$source" -o "$program" "$folder/libentrollm_kernels.a" \
          "$folder/libentrollm_coder.a" "$folder/libentrollm_base.a" -lpthread -lm >"$program.log" 2>&1
        if [ $? -ne 0 ]; then
          report "$name: $(basename "$program") links" "$program.log" 1
          continue
        fi
      fi
      timeout 600 "$@" "$program" >"$program.log" 2>&1
      status=$? # now: the substitution below sets its own
      report "$name: $(basename "$program")" "$program.log" $status
    done
  done
}

# no_registers NAME LIBRARY MEMBERS REGISTERS [OBJDUMP]: the disassembly of the archive's members (a grep pattern) shows
# none of the registers, and there is something to look at.
no_registers() {
  local dump=$work/dump member objdump=${5:-objdump}
  : >"$dump"
  (cd "$work" && rm -rf members && mkdir members && cd members && ar x "$2" && for member in *.o; do
    if printf '%s\n' "$member" | grep -qE "$3"; then "$objdump" -d --no-show-raw-insn "$member"; fi
  done) >"$dump"
  if ! grep -q ret "$dump"; then
    echo "nothing to disassemble" >"$work/found"
    report "$1" "$work/found" 1
    return
  fi
  grep -E "$4" "$dump" | head -5 >"$work/found"
  report "$1" "$work/found" "$([ -s "$work/found" ] && echo 1 || echo 0)"
}

case $(uname -m) in
  x86_64 | amd64) x86=true ;;
  *) x86=false ;;
esac

old="plain x86-64 build without AVX"
haswell="plain x86-64 build with AVX2"
simde="AVX-512 kernels by SIMDe"
if ! $x86; then
  skip "$old" "not an x86-64 machine"
  skip "$haswell" "not an x86-64 machine"
  skip "$simde" "not an x86-64 machine"
else
  qemu=
  for candidate in qemu-x86_64-static qemu-x86_64; do
    if [ -z "$qemu" ] && have "$candidate"; then qemu=$candidate; fi
  done

  folder=$work/x86
  build_kernels "$folder"
  status=$?
  report "x86-64 build" "$folder.log" $status
  if [ $status -eq 0 ]; then
    no_registers "nothing outside the kernels of a set uses its registers" "$folder/libentrollm_kernels.a" \
      '^(float_scalar|kernels|cpu)\.c' '%[yz]mm|%k[1-7]|vfmadd'
    no_registers "AVX2 kernels use nothing of AVX-512" "$folder/libentrollm_kernels.a" '_avx(2|vnni)\.c' \
      '%zmm|%k[1-7]|%[xy]mm(1[6-9]|2[0-9]|3[01])'
    if [ -z "$qemu" ]; then
      skip "$old" "qemu-x86_64 is not installed (qemu-user-static)"
      skip "$haswell" "qemu-x86_64 is not installed (qemu-user-static)"
    else
      run_linked "Nehalem (no AVX)" "$folder" cc KERNELS_X86 "coder kernels" "$qemu" -cpu Nehalem
      # TCG knows AVX2 from qemu 7.2 on; before, the tables would only be those of Nehalem.
      if "$qemu" -cpu Haswell "$folder/kernels_test_dispatch" 2>/dev/null | grep -q "usable: avx2"; then
        run_linked "Haswell (AVX2)" "$folder" cc KERNELS_X86 "kernels" "$qemu" -cpu Haswell
      else
        skip "$haswell" "this qemu does not emulate AVX2"
      fi
    fi
  fi

  if ! echo '#include <simde/x86/avx512.h>' | cc -E -x c - >/dev/null 2>&1; then
    skip "$simde" "SIMDe is not installed (libsimde-dev)"
  else
    folder=$work/simde
    build_kernels "$folder" -DENTROLLM_SIMDE=ON
    status=$?
    report "AVX-512 kernels build by SIMDe" "$folder.log" $status
    if [ $status -eq 0 ]; then
      no_registers "AVX-512 kernels by SIMDe are free of AVX-512" "$folder/libentrollm_kernels.a" '.' \
        '%zmm|%k[1-7]|%[xy]mm(1[6-9]|2[0-9]|3[01])'
      if grep -qw avx2 /proc/cpuinfo 2>/dev/null; then
        run_linked "SIMDe" "$folder" cc KERNELS_X86 "kernels" env
      fi
      if [ -n "$qemu" ] &&
        "$qemu" -cpu Haswell "$work/x86/kernels_test_dispatch" 2>/dev/null | grep -q "usable: avx2"; then
        run_linked "SIMDe on Haswell" "$folder" cc KERNELS_X86 "kernels" "$qemu" -cpu Haswell
      fi
    fi
  fi
fi

# The program of the ordinary build, which takes its libraries from this machine. Greedy, so that the text follows
# from the logits alone.
main_job() { # FOLDER RUNNER...
  local folder=$1
  shift
  mkdir -p "$folder" &&
    "$@" build/entrollm compress models/stories-4m -o "$folder/m.ellm" --bits 4 -q &&
    "$@" build/entrollm verify "$folder/m.ellm" &&
    "$@" build/entrollm run -m "$folder/m.ellm" -p "Once upon a time" -n 12 --temp 0 -q >"$folder/text"
}
old_program="the program without AVX: same file, same text"
if ! $x86 || [ -z "${qemu:-}" ]; then
  skip "$old_program" "no x86-64 machine or no qemu-x86_64 (qemu-user-static)"
elif [ -x build/entrollm ]; then
  { main_job "$work/here" && main_job "$work/old" "$qemu" -cpu Nehalem && cmp "$work/here/m.ellm" "$work/old/m.ellm" &&
    cmp "$work/here/text" "$work/old/text"; } >"$work/program.log" 2>&1
  report "$old_program" "$work/program.log" $?
fi

arm="base, coder and kernels on 64-bit Arm"
runner=
for candidate in qemu-aarch64-static qemu-aarch64; do
  if [ -z "$runner" ] && have "$candidate"; then runner=$candidate; fi
done
if ! have aarch64-linux-gnu-gcc; then
  skip "$arm" "aarch64-linux-gnu-gcc is not installed (gcc-aarch64-linux-gnu)"
elif [ -z "$runner" ]; then
  skip "$arm" "qemu-aarch64 is not installed (qemu-user-static)"
else
  folder=$work/arm
  build_kernels "$folder" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
    -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc
  status=$?
  report "64-bit Arm build" "$folder.log" $status
  if [ $status -eq 0 ]; then
    run_linked "ARMv8.0 (Cortex-A57)" "$folder" aarch64-linux-gnu-gcc KERNELS_ARM "base coder kernels" "$runner" \
      -cpu cortex-a57
    no_registers "no dot-product instructions outside their kernels" "$folder/libentrollm_kernels.a" \
      '^(float_.*|kernels|cpu|merge_table|activations|decode_neon|dot_neon|fused_neon)\.c' \
      '[[:space:]](s|u|us|su)dot[[:space:]]|mmla[[:space:]]' aarch64-linux-gnu-objdump
    no_registers "kernels with dot products use nothing of I8MM" "$folder/libentrollm_kernels.a" \
      '^dot_neon_dotprod\.c' '[[:space:]](us|su)dot[[:space:]]|mmla[[:space:]]' aarch64-linux-gnu-objdump
    if "$runner" -cpu max "$folder/kernels_test_dispatch" 2>/dev/null | grep -q "usable: neon_i8mm"; then
      run_linked "ARM with dot products and I8MM" "$folder" aarch64-linux-gnu-gcc KERNELS_ARM "kernels" "$runner" -cpu max
    else
      skip "ARM with dot products and I8MM" "this qemu does not emulate them"
    fi
  fi
fi
