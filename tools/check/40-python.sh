#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Python package as people install it: `pip install .` into a throw-away environment, without a network. Then the
# tests of models and of the documentation run with what was installed.
. tools/check/common.sh

stage "Python package"
python=/usr/bin/python3
if ! "$python" -c 'import cffi, numpy, pytest, setuptools, wheel, venv, ensurepip' 2>/dev/null; then
  record skip "pip install . (python3-cffi, -numpy, -pytest, -setuptools, -wheel or -venv is missing)"
  exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/entrollm-python.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
root=$PWD

# report NAME LOG STATUS
report() {
  if [ "$3" -eq 0 ]; then
    record pass "python: $1"
  else
    tail -n 40 "$2" | sed 's/^/    | /'
    record fail "python: $1"
  fi
}

# The library is that of the ordinary build, which has just been made: what CMake does for it is nothing new.
install() { # install ENVIRONMENT [VARIABLE=VALUE...]
  local environment=$1
  shift
  "$python" -m venv --system-site-packages "$environment" &&
    env PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1 "$@" "$environment/bin/python" -m pip install \
      --no-build-isolation --no-deps --force-reinstall .
}

git status --porcelain >"$work/before" 2>/dev/null
install "$work/own" ENTROLLM_CMAKE_DIR="$root/build" >"$work/log" 2>&1
report "pip install . builds a package with its library" "$work/log" $?
git status --porcelain >"$work/after" 2>/dev/null
cmp "$work/before" "$work/after" >"$work/log" 2>&1
report "and leaves nothing in the source tree" "$work/after" $?

export PYTHONDONTWRITEBYTECODE=1 BUILD_DIR="$root/build" ENTROLLM_TEST_INSTALLED=1
unset PYTHONPATH ENTROLLM_LIBRARY
cd "$work" || exit 1
"$work/own/bin/python" -m pytest -q -p no:cacheprovider --rootdir "$root/tests/python" \
  "$root/tests/python/test_installed.py" "$root/tests/python/test_model.py" "$root/tests/python/test_docs.py" \
  >"$work/log" 2>&1
status=$? # now: the substitution below sets its own
report "its tests: $(tail -n 1 "$work/log")" "$work/log" $status
cd "$root" || exit 1

install "$work/system" ENTROLLM_SYSTEM_LIBRARY=1 >"$work/log" 2>&1
report "pip install . for the system's library" "$work/log" $?
cd "$work" || exit 1
LD_LIBRARY_PATH=$root/build "$work/system/bin/python" -c '
import os, entrollm
folder = os.path.dirname(entrollm.__file__)
assert folder.startswith(os.environ["PWD"]) and not [n for n in os.listdir(folder) if ".so" in n]
with entrollm.Model("'"$root"'/models/stories-4m") as model:
    assert model.generate("Once upon a time", max_tokens=3).text
' >"$work/log" 2>&1
report "which is found by its name" "$work/log" $?
