#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A release build is hardened (cmake/hardening.cmake): what readelf says of the program and of the library."""

import os
import re
import subprocess

from cli_testing import *

with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as f:
    cache = dict(re.findall(r"^(\w+):\w+=(.*)$", f.read(), re.MULTILINE))
# CMakeLists.txt makes a release build where nothing is said
release = (cache.get("CMAKE_BUILD_TYPE") or "Release") in ("Release", "RelWithDebInfo", "MinSizeRel")
if not release or cache.get("ENTROLLM_SANITIZE") or cache.get("ENTROLLM_HARDEN") == "OFF":
    skip("hardening", "this is no release build")
    done()


def readelf(path, *options):
    p = subprocess.run(["readelf", "-W", *options, path], stdout=subprocess.PIPE, check=True, env=dict(os.environ, LC_ALL="C"))
    return p.stdout.decode()


for path, is_program in ((PROGRAM, True), (os.path.join(BUILD, "libentrollm.so"), False)):
    name = os.path.basename(path)
    segments, dynamic, symbols = readelf(path, "-hl"), readelf(path, "-d"), readelf(path, "--dyn-syms")
    ok(re.search(r"Type:\s+DYN", segments), f"{name}: can lie at any address")
    if is_program:
        ok(re.search(r"FLAGS_1\)\s.*\bPIE\b", dynamic), f"{name}: is a position-independent program")
    ok("GNU_RELRO" in segments and re.search(r"FLAGS_1\)\s.*\bNOW\b", dynamic), f"{name}: tables are read-only once it runs")
    stack = re.search(r"GNU_STACK.*", segments)
    ok(stack and not re.search(r"\bRWE\b", stack.group(0)), f"{name}: the stack is not executed")
    ok(not re.search(r"LOAD.*\bRWE\b", segments), f"{name}: nothing that can be written is executed")
    ok("TEXTREL" not in dynamic, f"{name}: code is not changed when it is loaded")
    ok("__stack_chk_fail" in symbols, f"{name}: the stack is watched")
    checked = sorted(set(re.findall(r"\b__(\w+)_chk\b", symbols)))
    ok(len(checked) >= 3, f"{name}: functions of the C library are the checked ones", checked)
done()
