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
# No flags asked by shell words: the prefix holds a blank.
p = call("pkg-config", "--cflags", "--libs", "--static", "entrollm", env=environment)
ok(p.returncode == 0, "pkg-config", p.stdout.decode(errors="replace"))
flags = [re.sub(r"\\(.)", r"\1", w) for w in re.findall(r"(?:\\.|[^\s\\])+", p.stdout.decode())]
p = call("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", tmp("example.c"), "-o", tmp("example"), *flags)
ok(p.returncode == 0, "the example of README.md compiles", p.stdout.decode(errors="replace"))
os.symlink(os.path.join(ROOT, "models"), tmp("models"))
p = call(tmp("example"), cwd=TMP)
ok(p.returncode == 0 and re.fullmatch(rb"next token: \d+\n", p.stdout), "and runs", p.stdout)
done()
