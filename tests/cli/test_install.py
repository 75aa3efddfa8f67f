#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An installation under any prefix: the program finds its model, the example of README.md compiles and runs."""

import glob
import os
import re
import subprocess

from cli_testing import *


def call(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)


# what a build with sanitizers needs of those who link with it
SANITIZE = ["-fsanitize=" + s for s in re.findall(r"^ENTROLLM_SANITIZE:STRING=(.+)$",
                                                  read(os.path.join(BUILD, "CMakeCache.txt")).decode(), re.MULTILINE)]
SANITIZE = [s.replace("=ON", "=address,undefined") for s in SANITIZE]

prefix = tmp("a prefix")
p = call("cmake", "--install", BUILD, "--prefix", prefix)
if not ok(p.returncode == 0, "cmake --install", p.stdout.decode(errors="replace")):
    done()
program = os.path.join(prefix, "bin", "entrollm")
p = call(program, "run", "-p", "Once", "-n", "3", "-q", cwd="/")
ok(p.returncode == 0 and p.stdout, "the installed program finds the embedded model", p.stdout)

example = re.search(r"```c\n(.*?)```", read(os.path.join(ROOT, "README.md")).decode(), re.DOTALL).group(1)
with open(tmp("example.c"), "w") as f:
    f.write(example)
places = glob.glob(os.path.join(prefix, "lib*", "**", "pkgconfig"), recursive=True)
equal(len(places), 1, "one folder for pkg-config")
environment = dict(os.environ, PKG_CONFIG_PATH=":".join(places))


def flags(*options):
    """Words of pkg-config. Not by a shell: the prefix holds a blank."""
    p = call("pkg-config", "--cflags", "--libs", *options, "entrollm", env=environment)
    ok(p.returncode == 0, "pkg-config " + " ".join(options), p.stdout.decode(errors="replace"))
    return [re.sub(r"\\(.)", r"\1", w) for w in re.findall(r"(?:\\.|[^\s\\])+", p.stdout.decode())]


os.symlink(os.path.join(ROOT, "models"), tmp("models"))
library = os.path.dirname(places[0])
kinds = {"shared": [*flags(), "-Wl,-rpath," + library],
         "static": [w.replace("-lentrollm", "-l:libentrollm.a") for w in flags("--static")]}
for kind, words in kinds.items():
    p = call("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", tmp("example.c"), "-o", tmp(kind), *SANITIZE, *words)
    ok(p.returncode == 0, f"the example of README.md compiles, {kind}", p.stdout.decode(errors="replace"))
    text = call("ldd", tmp(kind)).stdout.decode()
    equal("libentrollm.so.1" in text, kind == "shared", f"and needs what it should, {kind}")
    p = call(tmp(kind), cwd=TMP)
    ok(p.returncode == 0 and re.fullmatch(rb"next token: \d+\n", p.stdout), f"and runs, {kind}", p.stdout)
    if os.path.exists(tmp("stories.ellm")):
        os.remove(tmp("stories.ellm"))
done()
