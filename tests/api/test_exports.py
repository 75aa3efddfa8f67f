#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The library exports what entrollm.h declares, and nothing else: the shared one and the archive."""

import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from cli_testing import *

headers = sorted(glob.glob(os.path.join(ROOT, "include", "*.h")))
header = "".join(read(path).decode() for path in headers)
code = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
code = re.sub(r"^[ \t]*#(?:.*\\\n)*.*$", "", code, flags=re.MULTILINE)
sets_up = re.findall(r"^ELLM_INIT\((ellm_\w+)\)$", re.sub(r"[ \t]+$", "", code, flags=re.MULTILINE), re.MULTILINE)
code = re.sub(r"\bELLM_INIT\((\w+)\)", r"ELLM_API void \1_init_sized(\1 *given, size_t size);", code)
exported = set(re.findall(r"ELLM_API\s[^;{]*?\b(\w+)\s*\(", code))
bodies = re.sub(r"\{[^{}]*\}", "", re.sub(r"\{[^{}]*\}", "", code))
declared = set()
for statement in bodies.replace('extern "C" {', "").split(";"):
    found = re.search(r"\b(ellm_\w+)\s*\(", statement)
    if found and not re.search(r"\btypedef\b", statement):
        declared.add(found.group(1))
ok(len(exported) > 30, "the header declares functions", exported)
equal(sorted(declared - exported), [], "every function of the header is marked ELLM_API")
equal([n for n in exported if not n.startswith("ellm_")], [], "all of them begin with ellm_")
source = tmp("header.c")
with open(source, "w") as f:
    f.write('#include "entrollm.h"\nint main(void) { return ellm_version()[0] == 0; }\n')
for language, compiler in (("c", ["cc", "-std=c11"]), ("c++", ["c++", "-std=c++11"])):
    if compiler[0] == "cc" or shutil.which("c++"):
        p = subprocess.run([*compiler, "-x", language, "-pedantic-errors", "-Wall", "-Wextra", "-Werror",
                            "-fsyntax-only", "-I", os.path.join(ROOT, "include"), source], stderr=subprocess.PIPE)
        ok(p.returncode == 0, f"the header alone is {language}", p.stderr.decode(errors="replace"))
    else:
        skip(f"the header alone is {language}", "no compiler")
sized = re.findall(r"typedef struct (ellm_\w+) \{\s*size_t size;", code)
equal(sorted(sets_up), sorted(sized), "every struct that begins with its size has an _init, and no other")


def defined(*command):
    text = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()
    names = (line.split()[-1] for line in text.splitlines() if re.match(r"^[0-9a-f]+ [A-Za-z] \S+$", line))
    return {n for n in names if not n.startswith("_")}  # sanitizers and linkers have their own


shared = os.path.join(BUILD, "libentrollm.so")
for name, command in (("libentrollm.so", ("nm", "-D", "--defined-only", shared)),
                      ("libentrollm.a", ("nm", "-g", "--defined-only", os.path.join(BUILD, "libentrollm.a")))):
    names = defined(*command)
    equal(sorted(names - exported), [], f"{name} exports nothing but the header's functions")
    equal(sorted(exported - names), [], f"{name} has all of them")

abi = re.search(r"^#define ELLM_ABI (\d+)$", header, re.MULTILINE).group(1)
text = subprocess.run(("readelf", "-d", shared), stdout=subprocess.PIPE, check=True).stdout.decode()
equal(re.findall(r"SONAME.*\[(.*)\]", text), ["libentrollm.so." + abi], "the name of the shared library")
ok(os.path.exists(f"{shared}.{abi}"), "and the file of that name")

program = os.path.join(BUILD, "tests", "entrollm-shared")
text = subprocess.run(("ldd", program), stdout=subprocess.PIPE, check=True).stdout.decode()
ok("libentrollm.so." + abi in text, "the program linked with the shared library needs it", text)
p = subprocess.run((program, "tokenize", "-m", MODEL), input=b"Once upon", stdout=subprocess.PIPE)
equal((p.returncode, p.stdout), (0, run("tokenize", "-m", MODEL, stdin=b"Once upon").stdout), "and does the same")
done()
