#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that building, demo and tests need, if they are
# missing: `tools/install_packages.sh [--all]`. --all adds what ./check --all
# needs. sudo is used only when something is missing and we are not root.
set -u

needed=(build-essential cmake ninja-build pkg-config python3
  libjansson-dev libpcre2-dev libutf8proc-dev libxxhash-dev libcmocka-dev libedit-dev libmicrohttpd-dev
  libcurl4-openssl-dev libssl-dev)
optional=() # installed where the distribution has them
if [ "${1:-}" = --all ]; then
  needed+=(clang libsimde-dev qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross valgrind)
  needed+=(python3-cffi python3-numpy python3-pytest python3-setuptools python3-wheel python3-venv python3-pip)
  optional+=(libclang-rt-dev) # the sanitizers' run-time library; part of clang in other releases
  optional+=(libopenmpi-dev openmpi-bin) # build and try entrollm-mpi
  optional+=(debhelper dh-python lintian) # build the Debian packages
  optional+=(zsh shellcheck mandoc man-db) # look at completions and manual pages
  # draws the page of `entrollm report` and uses the one of `entrollm serve`; Ubuntu has Chromium as a snap only
  optional+=(chromium chromium-driver python3-selenium fonts-dejavu-core)
elif [ $# -gt 0 ]; then
  echo "usage: $0 [--all]" >&2
  exit 2
fi

fail() {
  echo "$0: $*" >&2
  exit 1
}

if ! command -v dpkg-query >/dev/null; then
  for tool in cmake pkg-config cc python3; do
    command -v "$tool" >/dev/null ||
      fail "this is not Debian or Ubuntu (no dpkg-query): install $tool and what corresponds to: ${needed[*]}"
  done
  echo "$0: not Debian or Ubuntu: going on with the tools that are there" >&2
  exit 0
fi

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
missing=()
for package in "${needed[@]}"; do
  installed "$package" || missing+=("$package")
done
wanted=()
for package in "${optional[@]}"; do
  installed "$package" || wanted+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  for package in "${wanted[@]}"; do # not worth a question for a password where it does not exist
    apt-cache show "$package" >/dev/null 2>&1 && missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && exit 0
  wanted=()
fi

command -v apt-get >/dev/null || fail "apt-get is missing; these packages are needed: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "not root and no sudo; as root: apt-get install ${missing[*]}"
  as_root=(sudo)
fi
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"; }

echo "Installing Debian packages: ${missing[*]}"
apt update || fail "apt-get update failed; is there a network?"
for package in "${wanted[@]}"; do
  apt-cache show "$package" >/dev/null 2>&1 && missing+=("$package")
done
apt install -y --no-install-recommends "${missing[@]}" ||
  fail "apt-get install failed; these packages are needed: ${missing[*]}"
