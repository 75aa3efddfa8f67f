#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Debian packages: built from a copy of the sources, looked at by lintian, unpacked below a folder of their own, and
# tried there (debian/tests). Nothing of the system is changed. For speed, the compiler writes no debugging information
# here and the packages are hardly compressed.
. tools/check/common.sh

stage "Debian packages"
work=$(mktemp -d "${TMPDIR:-/tmp}/entrollm-packages.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
have() { command -v "$1" >/dev/null 2>&1; }

# try NAME COMMAND...: one case; what the command says is shown when it fails
try() {
  local name=$1
  shift
  if "$@" >"$work/said" 2>&1; then
    record pass "packages: $name"
  else
    tail -n 40 "$work/said" | sed 's/^/    | /'
    record fail "packages: $name"
  fi
}

if ! have dpkg-buildpackage || ! have dh; then
  record skip "packages: dpkg-buildpackage or debhelper is not installed (dpkg-dev, debhelper)"
  exit 0
fi
export DEB_BUILD_PROFILES=nocheck DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=$jobs" DEB_CFLAGS_STRIP=-g
export DPKG_DEB_COMPRESSOR_TYPE=gzip DPKG_DEB_COMPRESSOR_LEVEL=1
if ! missing=$(dpkg-checkbuilddeps 2>&1); then
  record skip "packages: ${missing#*: error: }"
  exit 0
fi

source=$work/entrollm
mkdir "$source" "$work/root"
# what a build needs and nothing that one left behind
tar --exclude-vcs --exclude='./build*' --exclude='./obj-*' --exclude=./models-cache --exclude=./tests --exclude=./fuzz \
  -cf - . | tar -C "$source" -xf - || exit 1
build_packages() { (cd "$source" && dpkg-buildpackage -us -uc -b); }
try "they are built" build_packages
packages=("$work"/*.deb)
[ -e "${packages[0]}" ] || exit 0

names=$(sed -n 's/^Package: //p' debian/control | sort | tr '\n' ' ')
built() { dpkg-deb -f "$1" Package; }
built_names=$(for p in "${packages[@]}"; do built "$p"; done | sort | tr '\n' ' ')
try "there are those of debian/control" test "$names" = "$built_names"
unpack() { for p in "${packages[@]}"; do dpkg-deb -x "$p" "$work/root" || return 1; done; }
try "they can be unpacked together" unpack
needs() { dpkg-deb -f "$work"/"$1"_*.deb Depends Pre-Depends | tr ',|' '\n\n' | grep -E "$2"; }
abi=$(sed -n 's/^#define ELLM_ABI //p' include/entrollm.h)
try "the program needs the library's package" needs entrollm "libentrollm$abi \(>= "
try "the headers need the library's package, this very one" needs libentrollm-dev "libentrollm$abi \(= "

hardened() {
  readelf -Wdl "$1" >"$work/elf" && grep -q GNU_RELRO "$work/elf" && grep -qw BIND_NOW "$work/elf" &&
    grep -E 'GNU_STACK.* RW ' "$work/elf" && readelf -Ws "$1" | grep -q __stack_chk_fail
}
try "the program is hardened" hardened "$work/root/usr/bin/entrollm"
try "the library is hardened" hardened "$(echo "$work"/root/usr/lib/*/libentrollm.so."$abi")"

for script in debian/tests/*; do
  name=$(basename "$script")
  [ "$name" != control ] || continue
  if [ "$name" = program ] && ! man --version 2>/dev/null | grep -q '^man '; then # not a stand-in of a small system
    record skip "packages: debian/tests/program: man is not installed (man-db)"
    continue
  fi
  try "debian/tests/$name" env ROOT="$work/root" "$script"
done

if have lintian; then
  lint() { lintian --no-cfg --profile debian --fail-on error "$work"/*.changes; }
  try "lintian finds no error" lint
else
  record skip "packages: lintian is not installed"
fi
